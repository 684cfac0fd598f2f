//! What people write into the file of `--config`, and what they are told.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::support::Server;

/// A file that is removed when it is dropped.
pub(crate) struct ConfigFile(PathBuf);

impl ConfigFile {
    pub(crate) fn new(text: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = Self(env::temp_dir().join(format!("fib-{}-{number}.toml", process::id())));
        file.write(text);
        file
    }

    /// Puts another one in its place, of which nobody ever sees a part.
    pub(crate) fn write(&self, text: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.0).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn check(file: &ConfigFile, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fib-server"));
    command.args(["--check-config", "--config", file.path()]).args(flags);
    command.output().unwrap()
}

#[test]
fn a_file_is_checked_without_a_start() {
    let file = ConfigFile::new("max-line = 100\n# Where.\nlisten = \"127.0.0.1:1\"\n");
    let output = check(&file, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"the configuration is valid\n");
    for (text, flags, told) in [
        ("max-n = 1\nmaxn = 2\n", &[][..], ":2: there is no key maxn; is max-n meant?"),
        ("max-n = 1\nmax-n = 2\n", &[], ":2: duplicate key"),
        ("max-n = \"many\"", &["--max-n", "7"], ":1: invalid value 'many' for '--max-n <N>'"),
        ("\nmax-line = 10\n", &[], ":2: --max-line 10: it must be from 20 to 4096"),
        ("max-n = 93\n", &["--algorithm", "recursive"], ":1: --max-n 93 with --algorithm"),
        ("", &["--max-line", "10"], "error: --max-line 10: it must be"),
    ] {
        file.write(text);
        let output = check(&file, flags);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text:?}: {stderr}");
        assert!(stderr.contains(told), "{text:?}: {stderr}");
        let names_file = stderr.contains(file.path());
        assert_eq!(names_file, !text.is_empty(), "{stderr}");
        assert!(output.stdout.is_empty());
    }
    let missing = ConfigFile::new("");
    fs::remove_file(missing.path()).unwrap();
    let output = check(&missing, &[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("No such file"), "{stderr}");
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_the_default() {
    let file = ConfigFile::new("max-n = 10\nmax-line = 20\ndialect = \"line\"\n");
    let start = |max_n: Option<&str>, flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fib-server"));
        command.args(["--listen", "127.0.0.1:0", "--config", file.path()]).args(flags);
        command.envs(max_n.map(|it| ("FIB_MAX_N", it)));
        Server::spawn(command)
    };
    for (server, limit) in [
        (start(None, &[]), 10),
        (start(Some("20"), &[]), 20),
        (start(Some("20"), &["--max-n=30"]), 30),
        (start(None, &["--max-n=30"]), 30),
    ] {
        let told = server.connect().ask("31");
        assert!(told.contains(&format!("n must be from 0 to {limit}, not")), "{told}");
    }
}

/// A list from one place takes the place of a list from another.
#[test]
fn addresses_are_not_added_up() {
    let file = ConfigFile::new("listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n");
    let mut server = Server::run(&["--config", file.path()]);
    assert_ne!(server.next_line("listening on "), server.address());
    let server = Server::run(&["--config", file.path(), "--listen", "127.0.0.1:0"]);
    assert_eq!(server.connect().ask("30"), "832040");
}
