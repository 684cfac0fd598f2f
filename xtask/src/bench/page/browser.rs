//! A reader opens the page in a real browser and does everything that can be done there.

use std::fs;

use serde_json::json;

use super::{
    driver::{Browser, DOWN, ENTER, ESCAPE, RIGHT},
    page, sample,
};
use crate::{
    bench::{
        number,
        summary::{Better, Entry, Row, Summary},
    },
    build::target_folder,
    peers::Family,
};

/// The rows that are shown, in their order.
const SHOWN: &str = "return [...document.querySelectorAll('.matrix tr.row:not([hidden])')]
    .map((row) => row.dataset.name)";

/// Every cell and chip whose text is less than 4.5 times as bright, or as dark, as what is behind.
const FAINT: &str = "
    const light = (colour) => {
        const [r, g, b] = colour.map((it) => it / 255)
            .map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const behind = (element) => {
        const colour = parts(getComputedStyle(element).backgroundColor);
        return colour[3] === 0 ? behind(element.parentElement) : colour;
    };
    const tested = [...document.querySelectorAll('.heat, .heat button, .absent, .chip, .tick, dd,'
        + '.faint, .number b, .titles button, .badge, .doubt, .bad, a')];
    const faint = tested.filter((it) => {
        const style = getComputedStyle(it);
        const ink = it.matches('.tick') ? style.fill : style.color;
        const [a, b] = [light(parts(ink).slice(0, 3)), light(behind(it).slice(0, 3))];
        return Math.max(a, b) / Math.min(a, b) < 4.5;
    });
    return [tested.length, faint.map((it) => it.className + ': ' + it.textContent)]";

/// A browser with the page of the sample; the page stays for whoever wants to look at it.
fn opened(name: &str, summary: &Summary) -> Option<Browser> {
    let folder = target_folder().join("tmp").join(name);
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("bench.html");
    fs::write(&file, page(summary)).unwrap();
    let browser = Browser::open(&folder)?;
    let permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"];
    browser.devtools("Browser.grantPermissions", &json!({ "permissions": permissions }));
    browser.go(&format!("file://{}", file.display()));
    Some(browser)
}

fn look(browser: &Browser, width: u32, scheme: &str) {
    let metrics =
        json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
    browser.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    let scheme = json!({ "name": "prefers-color-scheme", "value": scheme });
    browser.devtools("Emulation.setEmulatedMedia", &json!({ "features": [scheme] }));
}

#[test]
fn a_reader_finds_what_there_is() {
    let summary = sample::summary();
    let Some(browser) = opened("bench-page", &summary) else { return };
    look(&browser, 1440, "light");
    sorts(&browser, &summary);
    filters(&browser, &summary);
    asks_for_a_cell(&browser, &summary);
    copies(&browser);
    uses_the_keyboard(&browser);
    asks_for_what_is_missing(&browser, &summary);
    chooses_lines(&browser);
    nothing_was_fetched(&browser);
}

/// A title sorts by its column: the best first, the worst first, then as it was.
fn sorts(browser: &Browser, summary: &Summary) {
    let at = summary.columns.iter().position(|it| it.id == "p99-64").unwrap();
    let title = format!(".titles th:nth-child({}) button", at + 2);
    let order = || browser.run(SHOWN);
    let as_it_was = order();
    assert_eq!(as_it_was, json!(names(summary, |_| true)));
    for direction in ["ascending", "descending"] {
        browser.click(&title);
        assert_eq!(order(), json!(sorted(summary, at, direction)), "{direction}");
        let told = browser.run(&format!(
            "return document.querySelectorAll('.titles [aria-sort]')[{at}].ariaSort"
        ));
        assert_eq!(told, direction);
    }
    browser.click(&title);
    assert_eq!(order(), as_it_was);
}

/// The rows by a column; those without a number are last, in the order in which they were.
fn sorted<'a>(summary: &'a Summary, at: usize, direction: &str) -> Vec<&'a str> {
    assert_eq!(summary.columns[at].better, Better::Lower);
    let (mut with, without): (Vec<&Row>, Vec<&Row>) =
        summary.rows.iter().partition(|row| row.number(at).is_some());
    let median = |row: &Row| row.number(at).unwrap().median;
    with.sort_by(|a, b| match direction {
        "ascending" => median(a).total_cmp(&median(b)),
        _ => median(b).total_cmp(&median(a)),
    });
    with.into_iter().chain(without).map(|row| &*row.name).collect()
}

fn names(summary: &Summary, wanted: impl Fn(&Row) -> bool) -> Vec<&str> {
    summary.rows.iter().filter(|row| wanted(row)).map(|row| &*row.name).collect()
}

/// Chips and a text leave rows out, and all come back.
fn filters(browser: &Browser, summary: &Summary) {
    let chip = |value: &str| browser.click(&format!(".chip[data-value='{value}']"));
    let shows = |wanted: &dyn Fn(&Row) -> bool| {
        let names = names(summary, wanted);
        assert!(!names.is_empty() && names.len() < summary.rows.len());
        assert_eq!(browser.run(SHOWN), json!(names));
    };
    chip("Go");
    shows(&|row| row.family == Family::Go);
    chip("fib-server");
    chip("pool");
    let is_pool = |row: &Row| row.parts().is_none_or(|it| it.compute == "pool");
    shows(&|row| row.family == Family::Go || row.family == Family::Fib && is_pool(row));
    browser.click("#filter");
    browser.press("tasks");
    shows(&|row| row.name.contains("tokio-tasks") && is_pool(row));
    browser.click("#all");
    assert_eq!(browser.run(SHOWN).as_array().unwrap().len(), summary.rows.len());
}

/// Where a cell is, for a style sheet; and its row.
fn place(summary: &Summary, wanted: impl Fn(&Entry) -> bool) -> (usize, usize) {
    let rows = summary.rows.iter().enumerate();
    let mut cells = rows.flat_map(|(at, row)| {
        row.entries.iter().enumerate().map(move |(column, entry)| ((at, column), entry))
    });
    cells.find(|(_, entry)| wanted(entry)).unwrap().0
}

fn click_on(browser: &Browser, summary: &Summary, (row, column): (usize, usize)) {
    let name = &summary.rows[row].name;
    browser.click(&format!("tr[data-name='{name}'] td:nth-child({}) button", column + 2));
}

fn panel(browser: &Browser) -> String {
    let script = "return document.getElementById('panel').open
        ? document.getElementById('panel').innerText : ''";
    browser.run(script).as_str().unwrap().to_owned()
}

/// A cell tells its number, what must be known with it, and what repeats it.
fn asks_for_a_cell(browser: &Browser, summary: &Summary) {
    assert_eq!(panel(browser), "");
    let has_note = |it: &Entry| matches!(it, Entry::Number(number) if number.note.is_some());
    let (row, column) = place(summary, has_note);
    click_on(browser, summary, (row, column));
    let told = panel(browser);
    let (row, about) = (&summary.rows[row], &summary.columns[column]);
    let found = row.number(column).unwrap();
    let tell = |value| number(value, about.decimals);
    for part in [
        format!("{} · {}", row.name, about.title),
        format!("{} {}", tell(found.median), about.unit),
        format!("from {} to {}", tell(found.low), tell(found.high)),
        format!("median of {} repetitions", summary.repetitions),
        found.note.clone().unwrap(),
        about.about.clone(),
    ] {
        assert!(told.contains(&part), "{part} is not in\n{told}");
    }
    let commands = browser
        .run("return [...document.querySelectorAll('#panel code')].map((it) => it.textContent)");
    assert_eq!(commands, json!([row.command, about.commands.join("\n")]));
}

/// A button copies a command, or selects it and says so.
fn copies(browser: &Browser) {
    browser.click("#panel .command button");
    let said = browser.wait_for(
        "(async () => {
            const button = document.querySelector('#panel .command button');
            for (let i = 0; i < 200 && button.textContent === 'Copy'; i++) {
                await new Promise((done) => setTimeout(done, 20));
            }
            const command = document.querySelector('#panel code').textContent;
            const has = button.textContent === 'Copied'
                ? await navigator.clipboard.readText() : getSelection().toString();
            return [button.textContent, has === command];
        })()",
    );
    assert!([json!(["Copied", true]), json!(["Selected", true])].contains(&said), "{said}");
}

/// Without a mouse: out of the panel, to a neighbour, and into the panel again.
fn uses_the_keyboard(browser: &Browser) {
    let place = "const td = document.activeElement.closest('td');
        return td && [td.parentElement.rowIndex, td.cellIndex]";
    browser.press(ESCAPE);
    assert_eq!(panel(browser), "");
    let before = browser.run(place);
    browser.press(&[DOWN, RIGHT].concat());
    let after = browser.run(place);
    let moved = |at: usize| after[at].as_i64().unwrap() - before[at].as_i64().unwrap();
    assert_eq!((moved(0), moved(1)), (1, 1), "{before} {after}");
    browser.press(ENTER);
    assert_ne!(panel(browser), "");
    browser.press(ESCAPE);
    assert_eq!((panel(browser), browser.run(place)), (String::new(), after));
    let stops = "return document.querySelectorAll('.matrix td button[tabindex=\"0\"]').length";
    assert_eq!(browser.run(stops), 1, "the tab key does not stop at every cell");
}

/// Where there is no number, there is a reason; where there is no server, what installs it.
fn asks_for_what_is_missing(browser: &Browser, summary: &Summary) {
    let cell = place(summary, |it| matches!(it, Entry::Nothing(_)));
    click_on(browser, summary, cell);
    let Entry::Nothing(reason) = &summary.rows[cell.0].entries[cell.1] else { unreachable!() };
    assert!(panel(browser).contains(reason));
    browser.press(ESCAPE);
    let absent = browser.run("return document.querySelector('.matrix tbody').innerText");
    assert!(absent.as_str().unwrap().contains("pypy3 is missing: apt-get install pypy3"));
}

/// A box shows a row's lines in every chart, in a colour of their own, and hides them.
fn chooses_lines(browser: &Browser) {
    let name = "fib-server, io-uring + inline";
    let shown = || {
        browser.run(&format!(
            "return [...document.querySelectorAll('.pair .series[data-name=\"{name}\"]')]
                .filter((it) => getComputedStyle(it).display !== 'none').length"
        ))
    };
    let colours = "const of = [...document.querySelectorAll('.picker label:has(:checked) .swatch')]
        .map((it) => getComputedStyle(it).borderTopColor);
        return [of.length, new Set(of).size]";
    assert_eq!(shown(), 0);
    browser.click("#choose");
    browser.click(&format!("#picker input[value='{name}']"));
    assert_eq!(shown(), 4);
    let told = browser.run(colours);
    assert_eq!(told[0], told[1], "two rows have one colour");
    browser.click(&format!("#picker input[value='{name}']"));
    assert_eq!(shown(), 0);
}

fn nothing_was_fetched(browser: &Browser) {
    assert_eq!(browser.log("browser"), [] as [serde_json::Value; 0], "the page complains");
    let events = browser.log("performance");
    let events = events.iter().map(|it| serde_json::from_str(it["message"].as_str().unwrap()));
    let events = events.map(|it: Result<serde_json::Value, _>| it.unwrap()["message"].take());
    // A browser has a page of its own before ours.
    let is_ours = |it: &serde_json::Value| {
        let document = it["params"]["documentURL"].as_str().unwrap_or_default();
        it["method"] == "Network.requestWillBeSent" && document.starts_with("file://")
    };
    let url = |it: serde_json::Value| it["params"]["request"]["url"].as_str().unwrap().to_owned();
    let urls: Vec<_> = events.filter(is_ours).map(url).collect();
    let is_here = |it: &String| it.starts_with("file://") || it.starts_with("data:");
    assert!(!urls.is_empty() && urls.iter().all(is_here), "{urls:?}");
}

#[test]
fn every_reader_can_read_it() {
    let Some(browser) = opened("bench-page-looks", &sample::summary()) else { return };
    for (width, scheme) in [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")] {
        look(&browser, width, scheme);
        let fits = "return document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(browser.run(fits), true, "{width}, {scheme}: it is too wide");
        let faint = browser.run(FAINT);
        assert!(faint[0].as_u64().unwrap() > 700, "{faint}");
        assert_eq!(faint[1], json!([]), "{scheme}: too faint");
    }
    // On a phone the panel is a sheet that covers a part of the screen, at its bottom.
    browser.click(".matrix td:nth-child(3) button");
    let sheet = browser.wait_for(
        "(async () => {
            const panel = document.getElementById('panel');
            await Promise.all(panel.getAnimations().map((it) => it.finished));
            const { left, right, top, bottom } = panel.getBoundingClientRect();
            return [left, right, bottom, top > 250];
        })()",
    );
    assert_eq!(sheet, json!([0, 390, 900, true]));
}

/// A reader without scripts sees the same numbers and lines, and nothing that does not work.
#[test]
fn it_tells_the_same_without_scripts() {
    let summary = sample::summary();
    let Some(browser) = opened("bench-page-plain", &summary) else { return };
    browser.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    browser.reload();
    let seen = browser.run(
        "const seen = (selector) => [...document.querySelectorAll(selector)]
            .filter((it) => it.checkVisibility()).length;
        return [seen('.matrix tr.row'), seen('.picker label'), seen('input'),
            seen('button:not(table button)'), seen('.pair .series') > 8]",
    );
    assert_eq!(seen, json!([summary.rows.len(), 7, 0, 0, true]));
}

#[test]
fn it_needs_nothing_from_elsewhere_and_is_small() {
    let page = page(&sample::summary());
    for foreign in ["http://", "https://", " src=", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.len() < 600_000, "{} bytes", page.len());
}

/// A bench of few servers, or of none, has a page, too.
#[test]
fn less_is_told_where_less_is_known() {
    let full = sample::summary();
    let mut one = Summary { twin: None, repetitions: 1, ..full.clone() };
    one.rows.truncate(1);
    assert!(page(&one).contains("The default server did not take part"));
    let nothing = Summary { columns: vec![], rows: vec![], twin: None, machine: vec![], ..full };
    assert!(!page(&nothing).contains("<svg"));
}

#[test]
fn names_are_not_executed() {
    let mut summary = sample::summary();
    "</script><script>alert(1)</script>".clone_into(&mut summary.rows[0].name);
    "</script><script>alert(1)</script>".clone_into(&mut summary.columns[0].about);
    assert!(!page(&summary).contains("<script>alert"));
}
