//! A table with what the reader must know to read it, for a terminal and for documents.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::bench::{
    record::{Participant, Record},
    steal,
};

/// What a bench shows.
#[derive(Debug)]
pub(super) struct Sheet {
    /// The name of its files, and of its place in documents.
    pub(super) name: &'static str,
    /// The documents that keep it.
    pub(super) documents: &'static [&'static str],
    pub(super) header: &'static [&'static str],
    pub(super) rows: Vec<Vec<String>>,
    pub(super) legend: &'static str,
    pub(super) excerpts: Vec<Excerpt>,
}

/// Some of it, where a document speaks of nothing else.
#[derive(Debug)]
pub(super) struct Excerpt {
    pub(super) document: &'static str,
    /// The name of its place there.
    pub(super) name: String,
    pub(super) header: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Sheet {
    #[expect(clippy::print_stdout, reason = "the table is the task's result")]
    pub(super) fn print(&self, record: &Record) {
        let mut table = table(presets::UTF8_FULL_CONDENSED, self.header, &self.rows);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        println!("{table}\n{}{}\n\n{}.", absences(record), self.legend, steal::told(record));
    }

    /// The same in Markdown, with the machine that it is true of.
    pub(super) fn markdown(&self, record: &Record) -> String {
        let table = table(presets::ASCII_MARKDOWN, self.header, &self.rows);
        let absences = absences(record);
        format!("{table}\n\n{absences}{}\n\n{}\n", self.legend, circumstances(record))
    }
}

impl Excerpt {
    pub(super) fn markdown(&self) -> String {
        format!("{}\n", table(presets::ASCII_MARKDOWN, &self.header, &self.rows))
    }
}

fn table(preset: &str, header: &[&str], rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_preset(preset).set_header(header).add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Why some could not take part, a paragraph each.
fn absences(record: &Record) -> String {
    let absent = |it: &Participant| Some(format!("{}: {}.\n\n", it.name, it.absence.as_ref()?));
    record.servers.iter().filter_map(absent).collect()
}

/// The day, the effort, the machine, and what its host did to the runs.
fn circumstances(record: &Record) -> String {
    let fact = |name| record.machine.iter().find(|(it, _)| it == name).map_or("?", |it| &it.1);
    let kernel = format!("Linux {}", fact("kernel"));
    let programs = ["rustc", "gcc", "go", "python3", "pypy3", "redis-server"].map(fact);
    let machine = [&[fact("CPU"), &kernel][..], &programs].concat().join("; ");
    format!("{}, {} budget; {machine}; {}.", record.date, record.budget, steal::told(record))
}
