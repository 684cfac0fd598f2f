//! What may change while the server runs, when that counts, and what may not.

use std::time::Duration;

use rustix::process::Signal;

use crate::{
    config_file::ConfigFile,
    support::{Server, Way, strike, wait_until},
    watched::Watched,
};

fn reload(server: &Server, words: &str) {
    let times = server.times_logged(words);
    server.signal(Signal::HUP);
    wait_until(words, || server.times_logged(words) > times);
}

const RELOADED: &str = "the configuration is reloaded";
const REFUSED: &str = "the configuration stays as it was";

#[test]
fn what_cannot_change_is_named() {
    let file = ConfigFile::new("max-n = 100\n");
    let server = Server::run(&["--listen", "127.0.0.1:0", "--config", file.path()]);
    for (text, told) in [
        ("cores = 1\nmax-n = 7\nlog-format = \"text\"", "takes a restart to change cores"),
        ("strategy = \"prefork\"\nio-threads = 3", "restart to change io-threads, strategy"),
        ("max-n = 8\nmax-line = 1", ":2: --max-line 1: it must be from 20 to 4096"),
        ("max-conns = 1", ":1: there is no key max-conns; is max-connections meant?"),
    ] {
        file.write(text);
        reload(&server, REFUSED);
        assert_eq!(server.times_logged(told), 1, "{told}");
    }
    // What was said on the command line stays what it is, and a default is the same said aloud.
    file.write("listen = [\"127.0.0.1:1\"]\nstrategy = \"tokio-tasks\"\nmax-n = 20\n");
    reload(&server, RELOADED);
    assert_eq!(server.times_logged(r#""changed":"max-n""#), 1);
    assert!(server.connect().ask("21").contains("from 0 to 20,"));
    file.write("");
    reload(&server, RELOADED);
    assert_eq!(server.connect().ask("30"), "832040", "the default is back");
}

#[test]
fn without_a_file_a_reload_changes_nothing() {
    let watched = Watched::start("tokio-tasks", &[]);
    reload(&watched.server, RELOADED);
    assert_eq!(watched.metrics().count(r#"fib_config_reloads_total{result="ok"}"#), 1);
    assert_eq!(watched.server.connect().ask("30"), "832040");
}

#[test]
fn who_is_connected_meets_new_limits() {
    for strategy in ["tokio-tasks", "prefork"] {
        let file = ConfigFile::new("max-n = 60\nidle-timeout = \"0s\"\n");
        let flags = ["--algorithm", "recursive", "--config", file.path()];
        let server = Server::start(Way::new(strategy, "pool"), &flags);
        let mut before = server.connect();
        assert_eq!(before.ask("1"), "1");
        file.write("max-n = 30\ndeadline = \"1ms\"\nidle-timeout = \"0s\"\n");
        reload(&server, RELOADED);
        wait_until("new clients have the new limit", || {
            server.connect().ask("31").contains("from 0 to 30,")
        });
        // A conversation keeps what it began with; what is computed has the new deadline at once,
        // and a silent client the new patience.
        wait_until("the deadline counts", || before.ask("45").contains("within --deadline 1ms"));
        file.write("max-n = 30\nidle-timeout = \"200ms\"\n");
        reload(&server, RELOADED);
        assert_eq!(before.rest(), "");
    }
}

#[test]
fn who_is_not_allowed_any_more_stays() {
    for strategy in ["tokio-tasks", "prefork"] {
        let file = ConfigFile::new("allow = [\"127.0.0.1\"]\n");
        let flags = ["--config", file.path()];
        let server = Server::start(strategy, &flags);
        let mut before = server.connect();
        assert_eq!(before.ask("30"), "832040");
        file.write("allow = [\"10.0.0.0/8\"]\n");
        reload(&server, RELOADED);
        wait_until("nobody is let in", || {
            let mut client = server.connect();
            // Where somebody reads it, that is the end, too.
            client.send_in_vain(&[b'1'; 100]);
            client.rest_or_reset().is_empty()
        });
        assert_eq!(before.ask("30"), "832040");
    }
}

#[test]
fn the_last_drain_timeout_counts() {
    let file = ConfigFile::new("drain-timeout = \"1h\"\n");
    let flags = ["--algorithm", "recursive", "--config", file.path()];
    let server = Server::start("tokio-tasks", &flags);
    let mut client = server.connect();
    client.ask("1");
    file.write("drain-timeout = \"100ms\"\nmax-n = 60\n");
    reload(&server, RELOADED);
    let mut slow = server.connect();
    slow.send("60\n");
    assert!(slow.hears_nothing(), "it is being computed");
    server.signal(Signal::TERM);
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.log);
    assert!(ended.log.contains("after --drain-timeout 100ms"), "{}", ended.log);
}

/// Children serve as their server does, and never read the file themselves.
#[test]
fn a_child_that_is_replaced_serves_as_the_others() {
    let file = ConfigFile::new("max-n = 100\n");
    let flags = ["--io-threads", "2", "--config", file.path()];
    let server = Server::start(Way::new("prefork", "processes"), &flags);
    file.write("max-n = 30\n");
    reload(&server, RELOADED);
    file.write("this is no file\n");
    let victims = server.child_pids();
    for &victim in &victims {
        strike(victim, Signal::KILL);
    }
    wait_until("others serve", || {
        let children = server.child_pids();
        children.len() == 2 && children.is_disjoint(&victims)
    });
    for _ in 0..5 {
        assert!(server.connect().ask("31").contains("from 0 to 30,"));
    }
    // A signal that is for the server alone does not end them.
    let children = server.child_pids();
    for &child in &children {
        strike(child, Signal::HUP);
    }
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(server.child_pids(), children);
    server.stop();
}
