//! The load of `deploy/kubernetes`: its pods are started here as processes, and their logs added
//! up as `docs/deploy.md` says.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, SystemTime},
};

use fib_client::report::Report;
use fib_proto::Address;
use serde_json::Value;

use crate::support::{honest, skip, tool};

const CLIENT: &str = env!("CARGO_BIN_EXE_fib-client");

/// A pod's log has the report, and what the client said to people.
const REPORT_OF_LOG: &str = "sed -n '/^{/,/^}/p'";

#[test]
fn the_pods_reports_add_up() {
    let Some(job) = job() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let server = honest();
    let start = humantime::format_rfc3339(SystemTime::now() + Duration::from_secs(2));
    let pods = job["spec"]["completions"].as_u64().unwrap();
    assert_eq!(job["spec"]["parallelism"], pods, "they cannot begin together");
    let log = |index| folder.join(format!("{index}.log"));
    let running: Vec<_> = (0..pods)
        .map(|index| start_pod(&job, index, &server, &start.to_string(), &log(index)))
        .collect();
    for mut pod in running {
        assert!(pod.wait().unwrap().success());
    }
    let reports: Vec<_> = (0..pods).map(|index| report_of(&log(index))).collect();
    let parts: Vec<Report> = reports.iter().map(|it| read(it)).collect();
    let sum = folder.join("sum.json");
    let merge = Command::new(CLIENT).arg("merge").args(&reports).arg("--json").arg(&sum).output();
    let merge = merge.unwrap();
    assert!(merge.status.success(), "{}", String::from_utf8_lossy(&merge.stderr));
    let replies: u64 = parts.iter().map(|part| part.replies).sum();
    assert!(replies > 0);
    assert_eq!(read(&sum).replies, replies);
}

#[test]
fn the_documents_say_how() {
    let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deploy.md");
    assert!(fs::read_to_string(documents).unwrap().contains(REPORT_OF_LOG));
}

/// The manifest; `None` without Python's module for YAML, said aloud.
fn job() -> Option<Value> {
    let python = tool("python3", "python3")?;
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes/load.yaml");
    let output = Command::new(python).args(["-c", script]).arg(file).output().unwrap();
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("No module named 'yaml'"), "{told}");
        skip("Python's yaml is missing; pip install pyyaml");
        return None;
    }
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// One of the pods, for a moment instead of half a minute, and with one log, as a pod has.
fn start_pod(job: &Value, index: u64, server: &Address, start: &str, log: &Path) -> Child {
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["command"][0], "/fib-client");
    let arguments = container["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap());
    let arguments: Vec<_> = arguments
        .map(|it| it.replace("$(JOB_COMPLETION_INDEX)", &index.to_string()))
        .map(|it| it.replace("$(FIB_START_AT)", start).replace("=30s", "=300ms"))
        .collect();
    assert!(arguments.iter().all(|it| !it.contains('$')), "{arguments:?}");
    assert!(container["env"].as_array().unwrap().iter().any(|it| it["name"] == "FIB_SERVER"));
    let log = File::create(log).unwrap();
    Command::new(CLIENT)
        .args(arguments)
        .env("FIB_SERVER", server.to_string())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Takes the report out of a pod's log.
fn report_of(log: &Path) -> PathBuf {
    let report = log.with_extension("json");
    let script = format!("{REPORT_OF_LOG} {} > {}", log.display(), report.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    report
}

fn read(report: &Path) -> Report {
    serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap()
}
