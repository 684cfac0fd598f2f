//! A table with what the reader must know to read it, for a terminal and for documents.

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use crate::bench::record::{Head, Participant};

/// What a bench shows.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Vec<Text>>,
    pub(super) legend: String,
}

/// What stands in a cell.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// Not to be told from the default's.
    pub(super) is_faint: bool,
}

/// Where a document keeps a table.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) document: &'static str,
    /// The name between whose marks it stands.
    pub(super) name: String,
    pub(super) markdown: String,
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self { text: text.into(), is_faint: false }
    }
}

impl Sheet {
    #[expect(clippy::print_stdout, reason = "the table is the task's result")]
    pub(super) fn print(&self) {
        let mut table = self.table(presets::UTF8_FULL_CONDENSED, |text| {
            let cell = Cell::new(&text.text);
            if text.is_faint { cell.fg(Color::DarkGrey) } else { cell }
        });
        table.set_content_arrangement(ContentArrangement::Dynamic);
        println!("{table}\n{}\n", self.legend);
    }

    /// The same in Markdown, which has no colours.
    pub(super) fn markdown(&self) -> String {
        let table = self.table(presets::ASCII_MARKDOWN, |text| {
            let sign = if text.is_faint { "≈ " } else { "" };
            Cell::new(format!("{sign}{}", text.text))
        });
        let legend =
            if self.legend.is_empty() { String::new() } else { format!("\n{}\n", self.legend) };
        format!("{table}\n{legend}")
    }

    fn table(&self, preset: &str, cell: impl Fn(&Text) -> Cell) -> Table {
        let mut table = Table::new();
        let rows = self.rows.iter().map(|row| row.iter().map(&cell).collect::<Vec<_>>());
        table.load_preset(preset).set_header(&self.header).add_rows(rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

/// Why some could not take part, a sentence each.
pub(super) fn absences(servers: &[Participant]) -> String {
    let absent = |it: &Participant| Some(format!("{}: {}.\n", it.name, it.absence.as_ref()?));
    servers.iter().filter_map(absent).collect()
}

/// The day, the effort and the machine.
pub(super) fn circumstances(head: &Head, disturbance: &str) -> String {
    let fact = |name| head.machine.iter().find(|(it, _)| it == name).map_or("?", |it| &it.1);
    let kernel = format!("Linux {}", fact("kernel"));
    let programs = ["rustc", "cc", "go", "python3", "pypy3", "redis-server", "memcached"].map(fact);
    let machine = [&[fact("CPU"), &kernel][..], &programs].concat().join("; ");
    let Head { date, budget, repetitions, .. } = head;
    format!("{date}, {budget} budget, {repetitions} repetitions; {machine}; {disturbance}.")
}
