//! The manifests of `deploy/kubernetes`: the published schemas accept them, and the server accepts
//! what they say to it.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command, time::Duration};

use rustix::process::Signal;
use serde_json::Value;

use super::support::{Place, Port, get, path, python_with, read, run};
use crate::support::{Server, wait_until};

const MODULE: &str = "kubernetes_validate";
const INSTALL: &str = "pip install kubernetes-validate";

/// All but kustomize's own, which has no schema there.
fn manifests() -> Vec<String> {
    let entries = fs::read_dir(path("kubernetes")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "kustomization.yaml").collect();
    names.sort();
    names
}

#[test]
fn the_schemas_accept_the_manifests() {
    let Some(python) = python_with(MODULE, INSTALL) else { return };
    let validate = |files: &[PathBuf]| {
        let mut command = Command::new(&python);
        let module = "import sys; from kubernetes_validate.__main__ import main; sys.exit(main())";
        command.args(["-c", module, "--strict"]).args(files);
        command
    };
    let files: Vec<_> = manifests().iter().map(|name| path("kubernetes").join(name)).collect();
    let told = run(&mut validate(&files));
    assert_eq!(told.matches(" passed ").count(), files.len(), "{told}");
    let place = Place::new();
    for (right, wrong) in [("runAsNonRoot", "runAsNoRoot"), ("port: admin", "port: [admin]")] {
        let manifest = read("kubernetes/deployment.yaml").replace(right, wrong);
        let status = validate(&[place.write("wrong.yaml", &manifest)]).output().unwrap().status;
        assert!(!status.success(), "{wrong} passes");
    }
}

/// Whatever is there is applied, but for the load, which is applied when it is wanted.
#[test]
fn kustomize_is_told_of_every_manifest() {
    let Some(kustomization) = load("kustomization.yaml") else { return };
    let listed: BTreeSet<_> = strings(&kustomization["resources"]).collect();
    let manifests = manifests();
    let there: BTreeSet<_> = manifests.iter().map(String::as_str).collect();
    assert_eq!(listed, &there - &BTreeSet::from(["load.yaml"]));
}

#[test]
fn everybody_means_the_same_pods() {
    let Some(deployment) = load("deployment.yaml") else { return };
    let pod = &deployment["spec"]["template"];
    let labels = |it: &Value| it["app.kubernetes.io/name"].as_str().unwrap().to_owned();
    let name = labels(&pod["metadata"]["labels"]);
    let budget = load("disruption-budget.yaml").unwrap();
    let network = load("network-policy.yaml").unwrap();
    let service = load("service.yaml").unwrap();
    let spread = &pod["spec"]["topologySpreadConstraints"][0]["labelSelector"];
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &budget["spec"]["selector"]["matchLabels"],
        &network["spec"]["podSelector"]["matchLabels"],
        &service["spec"]["selector"],
        &spread["matchLabels"],
    ] {
        assert_eq!(labels(selector), name);
    }
    let autoscaler = load("autoscaler.yaml").unwrap();
    assert_eq!(autoscaler["spec"]["scaleTargetRef"]["name"], deployment["metadata"]["name"]);
}

/// With the pod's environment the server starts, is probed on the pod's ports, and has the time
/// that it needs to leave.
#[test]
fn the_server_is_what_the_pod_expects() {
    let Some(deployment) = load("deployment.yaml") else { return };
    let spec = &deployment["spec"]["template"]["spec"];
    let container = &spec["containers"][0];
    let port = |name: &str| {
        let mut ports = container["ports"].as_array().unwrap().iter();
        ports.find(|it| it["name"] == name).unwrap()["containerPort"].as_u64().unwrap()
    };
    let place = Place::new();
    let here = [("fib", Port::Clients), ("admin", Port::Admin)]
        .map(|(name, it)| (format!("0.0.0.0:{}", port(name)), place.address(11, it)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_fib-server"));
    for variable in container["env"].as_array().unwrap() {
        // A reference is to the number of cores that are asked for.
        let value = variable["value"].as_str().unwrap_or("2");
        let value = here.iter().find(|(there, _)| there == value).map_or(value, |(_, here)| here);
        command.env(variable["name"].as_str().unwrap(), value);
    }
    let server = Server::spawn(command);
    assert_eq!(server.address(), here[0].1);
    let probe = |name: &str| {
        let http = &container[name]["httpGet"];
        assert_eq!(http["port"], "admin");
        get(&here[1].1, http["path"].as_str().unwrap()).map(|(status, _)| status)
    };
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
    wait_until("every probe succeeds", || probes.iter().all(|name| probe(name) == Some(200)));
    server.signal(Signal::TERM);
    wait_until("it is not ready", || probe("readinessProbe") == Some(503));
    assert_eq!(probe("livenessProbe"), Some(200), "it would be killed in its drain");
    assert_eq!(server.connect().ask("30"), "832040");
    let patience = spec["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(Duration::from_secs(patience) > drain_time(container));
}

/// How long the server may take from SIGTERM to its end.
fn drain_time(container: &Value) -> Duration {
    let variables = container["env"].as_array().unwrap().iter();
    let drain = variables.filter(|it| it["name"].as_str().unwrap().starts_with("FIB_DRAIN_"));
    drain.map(|it| humantime::parse_duration(it["value"].as_str().unwrap()).unwrap()).sum()
}

/// A manifest as a value; `None` without Python's module for YAML, said aloud.
fn load(name: &str) -> Option<Value> {
    let python = python_with("yaml", INSTALL)?;
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let file = path("kubernetes").join(name);
    Some(serde_json::from_str(&run(Command::new(python).args(["-c", script]).arg(file))).unwrap())
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().unwrap().iter().map(|it| it.as_str().unwrap())
}
