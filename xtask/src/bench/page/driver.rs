//! A real browser that tests drive: chromedriver, which speaks the W3C's `WebDriver` protocol,
//! JSON over HTTP.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::tools::CHROMEDRIVER;

/// Keys as the protocol calls them.
pub(super) const ENTER: &str = "\u{e007}";
pub(super) const ESCAPE: &str = "\u{e00c}";
pub(super) const RIGHT: &str = "\u{e014}";
pub(super) const DOWN: &str = "\u{e015}";

/// Without a window, an account, or a wish to talk to anybody.
const ARGUMENTS: [&str; 8] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// One window; dropped, it is gone with its profile.
pub(super) struct Browser {
    driver: Child,
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// `None` where there is none, which is said aloud.
    pub(super) fn open(folder: &std::path::Path) -> Option<Self> {
        let Some(program) = CHROMEDRIVER.find().unwrap() else {
            // Not by a macro: the harness would keep that to itself.
            let _ = writeln!(std::io::stderr(), "SKIPPED a browser: {}", CHROMEDRIVER.install);
            return None;
        };
        let profile = folder.join("profile");
        let mut driver = Command::new(program);
        let mut driver = driver.arg("--port=0").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let port = line.rsplit_once("on port ")?.1.trim_end_matches('.').parse::<u16>();
            line.contains("successfully").then_some(port.ok()?)
        });
        // What else it says nobody reads, but it must be able to say it.
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser = Self { driver, session: String::new(), profile };
        let base = format!("http://127.0.0.1:{}/session", port.expect("it says its port"));
        let profile = format!("--user-data-dir={}", browser.profile.display());
        let arguments = [&ARGUMENTS[..], &[&profile]].concat();
        let answer = post(
            &base,
            &json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } }),
        );
        browser.session = format!("{base}/{}", answer["sessionId"].as_str().unwrap());
        Some(browser)
    }

    fn ask(&self, path: &str, body: &Value) -> Value {
        post(&format!("{}/{path}", self.session), body)
    }

    pub(super) fn go(&self, url: &str) {
        self.ask("url", &json!({ "url": url }));
    }

    pub(super) fn reload(&self) {
        self.ask("refresh", &json!({}));
    }

    /// What a script returns.
    pub(super) fn run(&self, script: &str) -> Value {
        self.ask("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What a script returns that may wait.
    pub(super) fn wait_for(&self, promise: &str) -> Value {
        let script = format!("const done = arguments[0]; ({promise}).then(done, done);");
        self.ask("execute/async", &json!({ "script": script, "args": [] }))
    }

    /// As a mouse does it: what is not visible cannot be clicked.
    pub(super) fn click(&self, selector: &str) {
        let script = "arguments[0].scrollIntoView({ block: 'center', inline: 'center', \
                      behavior: 'instant' })";
        let found = json!({ "using": "css selector", "value": selector });
        let element = self.ask("element", &found);
        let id = element.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.ask("execute/sync", &json!({ "script": script, "args": [element] }));
        self.ask(&format!("element/{id}/click"), &json!({}));
    }

    /// As somebody types them.
    pub(super) fn press(&self, keys: &str) {
        let stroke = |key: char| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
        };
        let strokes: Vec<_> = keys.chars().flat_map(stroke).collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.ask("actions", &json!({ "actions": [keyboard] }));
    }

    /// A command of the browser's own protocol.
    pub(super) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.ask("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What it has noted of a kind since it was asked last.
    pub(super) fn log(&self, kind: &str) -> Vec<Value> {
        self.ask("se/log", &json!({ "type": kind })).as_array().unwrap().clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

fn post(url: &str, body: &Value) -> Value {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let request = ureq::Agent::new_with_config(config).post(url);
    let mut response = request.send(body.to_string()).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    assert!(response.status().is_success(), "{url}: {answer}");
    answer["value"].take()
}
