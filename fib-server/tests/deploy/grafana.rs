//! The dashboard of `deploy/grafana`: Grafana's own types accept it, and each of its panels shows
//! something of a real server.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, process::Command};

use rustix::process::Signal;
use serde_json::Value;

use super::{
    prometheus::{Scraped, percent_encode},
    support::{Place, read, run, tool},
};
use crate::support::skip;

/// What Grafana puts in place of its variables, here.
const VARIABLES: [(&str, &str); 4] =
    [("$job", "fib"), ("$instance", ".*"), ("$__rate_interval", "1m"), ("$__range", "1m")];

#[test]
fn every_panel_has_a_place_of_its_own() {
    let dashboard = dashboard();
    let mut places = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels(&dashboard) {
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{}: another has its id",
            panel["title"]
        );
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|it| panel["gridPos"][it].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{} is out of the grid", panel["title"]);
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(places.insert(place), "{} lies on another", panel["title"]);
        }
    }
}

#[test]
fn every_panel_tells_what_it_shows() {
    let dashboard = dashboard();
    for panel in panels(&dashboard).filter(|it| it["type"] != "row") {
        for words in ["title", "description"] {
            assert!(panel[words].as_str().is_some_and(|it| !it.is_empty()), "{panel}: no {words}");
        }
        let defaults = &panel["fieldConfig"]["defaults"];
        let has_unit = defaults["unit"].is_string() || panel["type"] != "timeseries";
        assert!(has_unit, "{}: no unit", panel["title"]);
    }
}

/// `dashboard.ts` puts the types of `@grafana/schema` together; a wrong name or value does not
/// pass.
#[test]
fn the_dashboard_is_of_grafanas_type() {
    let install = "npm install --global typescript@7 @grafana/schema@13";
    let Some(tsc) = tool("tsc", install) else { return };
    let modules = fs::canonicalize(&tsc).unwrap();
    let modules = modules.ancestors().find(|it| it.ends_with("node_modules")).unwrap();
    if !modules.join("@grafana/schema").is_dir() {
        return skip(&format!("@grafana/schema is missing; {install}"));
    }
    let place = Place::new();
    symlink(modules, place.file("node_modules")).unwrap();
    place.write("type.ts", include_str!("dashboard.ts"));
    let check = |dashboard: &str| {
        let text = format!("import {{ D }} from './type';\nexport const d: D = {dashboard};\n");
        let mut command = Command::new(&tsc);
        command.args(["--noEmit", "--strict", "--skipLibCheck", "--module", "preserve"]);
        command.arg(place.write("dashboard.ts", &text));
        command
    };
    run(&mut check(&read("grafana/fib-server.json")));
    for wrong in [("\"reqps\"", "5"), ("\"linear\"", "\"bent\""), ("\"gridPos\"", "\"grid\"")] {
        let dashboard = read("grafana/fib-server.json").replace(wrong.0, wrong.1);
        assert!(!check(&dashboard).output().unwrap().status.success(), "{wrong:?} passes");
    }
}

#[test]
fn every_panel_shows_something() {
    let Some(mut scraped) = Scraped::start() else { return };
    let dashboard = dashboard();
    for variable in list(&dashboard["templating"]["list"]).filter(|it| it["type"] == "query") {
        let query = fill_in(variable["query"]["query"].as_str().unwrap());
        let inner =
            query.strip_prefix("label_values(").and_then(|it| it.strip_suffix(')')).unwrap();
        let (metric, label) = inner.rsplit_once(", ").unwrap();
        scraped.wait_for_data(label, metric);
        let path = format!("/api/v1/label/{label}/values?match[]={}", percent_encode(metric));
        assert!(list(&scraped.ask(&path)).count() > 0, "{query} has no value");
    }
    for panel in panels(&dashboard).filter(|it| it["type"] != "row") {
        for target in list(&panel["targets"]) {
            let expression = fill_in(target["expr"].as_str().unwrap());
            scraped.wait_for_data(panel["title"].as_str().unwrap(), &expression);
        }
    }
    let annotation = |name| {
        let found = list(&dashboard["annotations"]["list"]).find(|it| it["name"] == name);
        fill_in(found.unwrap()["target"]["expr"].as_str().unwrap())
    };
    scraped.restart_server();
    scraped.wait_for_data("Started", &annotation("Started"));
    scraped.server().signal(Signal::TERM);
    scraped.wait_for_data("Draining", &annotation("Draining"));
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/fib-server.json")).unwrap()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(&dashboard["panels"])
}

fn list(values: &Value) -> impl Iterator<Item = &Value> {
    values.as_array().unwrap().iter()
}

fn fill_in(expression: &str) -> String {
    let put = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
    let filled = VARIABLES.iter().fold(expression.to_owned(), put);
    assert!(!filled.contains('$'), "{filled}: an unknown variable");
    filled
}
