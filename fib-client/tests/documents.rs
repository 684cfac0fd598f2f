//! The forms of a report: what programs and browsers make of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use fib_client::{
    load::{Plan, Until},
    report::{Report, Threshold},
};

use crate::{
    load::{plan, run},
    support::{find, honest, tool},
};

fn report() -> Report {
    let mix = "1=9,30=1".parse().unwrap();
    let plan = Plan { mix, until: Until::Requests(5_000), ..plan(honest()) };
    let outcome =
        fib_client::load::run(&plan, &fib_client::load::Progress::new(&plan), None).unwrap();
    let mut report = Report::new(&plan, &outcome);
    let threshold: Threshold = "p(99)<5s".parse().unwrap();
    report.thresholds = vec![threshold.judge(&report, &outcome.tally.classes)];
    report
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The schema in the documents is that of the types, and a report is what it says.
/// `FIB_BLESS=1 cargo test -p fib-client schema` writes it anew.
#[test]
fn a_report_is_what_its_schema_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/report.schema.json");
    let schema = serde_json::to_string_pretty(&Report::schema()).unwrap() + "\n";
    if std::env::var("FIB_BLESS").is_ok() {
        fs::write(&file, &schema).unwrap();
    }
    assert_eq!(fs::read_to_string(file).unwrap(), schema, "FIB_BLESS=1 writes it anew");
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let mut document = serde_json::to_value(report()).unwrap();
    let errors: Vec<_> = validator.iter_errors(&document).map(|it| it.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    document["replies"] = "many".into();
    assert!(!validator.is_valid(&document));
}

/// A real browser opens the page, runs its script, and has nothing to complain of.
#[test]
fn a_browser_shows_the_page() {
    // Distributions and vendors call it differently.
    let named = ["google-chrome", "chromium-browser"].into_iter().find_map(find);
    let Some(chromium) = named.or_else(|| tool("chromium", "chromium")) else { return };
    let folder = folder("browser");
    let page = folder.join("report.html");
    fs::write(&page, report().to_html()).unwrap();
    let url = format!("file://{}", page.display());
    let picture = folder.join("report.png");
    let browse = |arguments: &[&str]| {
        let mut chromium = Command::new(&chromium);
        chromium.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
        ]);
        chromium.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        let output = chromium.args(arguments).arg(&url).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let complaints: Vec<_> = told.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let dom = browse(&["--dump-dom"]);
    for part in ["<svg", "Percentiles", "fib(30)", "Why to believe it", "Every reply was right"] {
        assert!(dom.contains(part), "{part} is not shown");
    }
    let _ = fs::remove_file(&picture);
    browse(&["--window-size=390,2000", &format!("--screenshot={}", picture.display())]);
    assert!(fs::metadata(picture).unwrap().len() > 20_000, "there is something to see");
}

#[test]
fn programs_read_the_other_forms() {
    let report = report();
    let csv = report.to_csv();
    let columns = csv.lines().next().unwrap().split(',').count();
    assert!(csv.lines().all(|line| line.split(',').count() == columns), "{csv}");
    let replies = csv.lines().skip(1).map(|line| line.split(',').nth(3).unwrap());
    assert_eq!(replies.map(|it| it.parse::<u64>().unwrap()).sum::<u64>(), report.replies);
    let hgrm = report.to_hgrm().unwrap();
    assert!(hgrm.contains("Total count    =         5000"), "{hgrm}");
    let metrics = report.to_prometheus();
    assert!(metrics.contains("fib_client_replies 5000\n"), "{metrics}");
    assert!(metrics.contains("{row=\"response\",n=\"30\",quantile=\"0.5\"}"), "{metrics}");
}

/// Prometheus' own tool reads the text.
#[test]
fn prometheus_accepts_the_text() {
    use std::{io::Write, process::Stdio};
    let Some(promtool) = tool("promtool", "prometheus") else { return };
    let mut check = Command::new(promtool);
    let mut child = check.args(["check", "metrics"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(report().to_prometheus().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_interval_log_has_every_reply() {
    use hdrhistogram::serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    };
    let report = report();
    let log = report.to_hlog().unwrap();
    let mut replies = 0;
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            let encoded = interval.encoded_histogram().as_bytes();
            let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded);
            let histogram: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut bytes.unwrap().as_slice()).unwrap();
            replies += histogram.len();
        }
    }
    assert_eq!(replies, report.replies);
}

#[test]
fn manuals_and_completions_are_written() {
    let client = || Command::new(env!("CARGO_BIN_EXE_fib-client"));
    let folder = folder("man");
    assert!(client().arg("man").arg(&folder).status().unwrap().success());
    let page = fs::read_to_string(folder.join("fib-client-perf.1")).unwrap();
    assert!(page.contains("find\\-max"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        let output = client().args(["completions", shell]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("find-max"), "{shell}");
    }
    // What a shell reads, it can read.
    if let Some(bash) = tool("bash", "bash") {
        let output = client().args(["completions", "bash"]).output().unwrap();
        let script = folder.join("fib-client.bash");
        fs::write(&script, output.stdout).unwrap();
        assert!(Command::new(bash).arg("-n").arg(script).status().unwrap().success());
    }
}

#[test]
fn a_short_report_still_tells() {
    let report = run(&plan(honest())).shortened();
    assert!(report.to_html().contains("Percentiles") && report.to_hgrm().is_err());
}
