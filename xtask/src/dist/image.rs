//! What the Dockerfile says, read and carried out as far as that goes without a container engine:
//! the files of the image in a folder, and how its one process is started.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use super::target::Arch;

/// An image, as far as this Dockerfile can describe one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    copies: Vec<Vec<String>>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) ports: Vec<u16>,
    pub(crate) user: String,
    pub(crate) stop_signal: String,
    pub(crate) health_check: Vec<String>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) command: Vec<String>,
}

impl Image {
    pub(crate) fn read(dockerfile: &str, arch: Arch) -> Result<Self> {
        let mut image = Self::default();
        let comments = |line: &&str| !line.trim_start().starts_with('#');
        let lines: Vec<_> = dockerfile.lines().filter(comments).collect();
        let text = lines.join("\n").replace("\\\n", " ");
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, rest) = line.split_once(' ').context("an instruction has arguments")?;
            let rest = rest.trim().replace("${TARGETARCH}", arch.debian());
            image.take(name, &rest).with_context(|| line.to_owned())?;
        }
        ensure!(!image.entrypoint.is_empty(), "the Dockerfile starts nothing");
        Ok(image)
    }

    fn take(&mut self, name: &str, rest: &str) -> Result<()> {
        let words = || rest.split_whitespace().map(str::to_owned);
        match name {
            "FROM" => ensure!(rest == "scratch", "there is more in it than ours"),
            "ARG" => ensure!(rest == "TARGETARCH", "nobody sets it"),
            "LABEL" => (),
            "COPY" => self.copies.push(words().collect()),
            "ENV" => {
                for word in words() {
                    let (name, value) = word.split_once('=').context("it has a value")?;
                    self.environment.insert(name.to_owned(), value.to_owned());
                }
            }
            "EXPOSE" => self.ports = words().map(|it| it.parse()).collect::<Result<_, _>>()?,
            "USER" => rest.clone_into(&mut self.user),
            "STOPSIGNAL" => rest.clone_into(&mut self.stop_signal),
            "HEALTHCHECK" => {
                let (_, command) = rest.split_once("CMD ").context("it runs something")?;
                self.health_check = serde_json::from_str(command)?;
            }
            "ENTRYPOINT" => self.entrypoint = serde_json::from_str(rest)?,
            "CMD" => self.command = serde_json::from_str(rest)?,
            _ => bail!("no test knows what it does"),
        }
        Ok(())
    }

    /// Copies what the Dockerfile copies, from the folder that it is built in.
    pub(crate) fn assemble(&self, context: &Path, root: &Path) -> Result<()> {
        for copy in &self.copies {
            let (to, from) = copy.split_last().context("COPY has a destination")?;
            ensure!(to.starts_with('/') && to.ends_with('/'), "{to} is no folder");
            let folder = root.join(to.trim_start_matches('/'));
            fs::create_dir_all(&folder)?;
            for from in from {
                copy_into(&context.join(from), &folder)
                    .with_context(|| format!("copying {from}"))?;
            }
        }
        Ok(())
    }
}

/// As COPY does: of a folder, what is in it.
fn copy_into(from: &Path, folder: &Path) -> Result<()> {
    let files: Vec<PathBuf> = if from.is_dir() {
        fs::read_dir(from)?.map(|file| Ok(file?.path())).collect::<Result<_>>()?
    } else {
        vec![from.to_owned()]
    };
    for file in files {
        let name = file.file_name().context("a file has a name")?;
        fs::copy(&file, folder.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::workspace;

    fn image() -> Image {
        let dockerfile = fs::read_to_string(workspace().join("Dockerfile")).unwrap();
        Image::read(&dockerfile, Arch::Arm).unwrap()
    }

    #[test]
    fn the_image_runs_the_server_as_nobody() {
        let image = image();
        assert_eq!(image.entrypoint, ["/fib-server"]);
        assert_eq!(image.health_check, ["/fib-client", "get", "1"]);
        assert_eq!((image.user.as_str(), image.stop_signal.as_str()), ("65534:65534", "SIGTERM"));
        assert_eq!(image.ports, [25_000, 9_100]);
        let variables: Vec<_> = image.environment.values().map(String::as_str).collect();
        assert_eq!(variables, ["0.0.0.0:9100", "any", "0.0.0.0:25000"]);
        assert!(image.copies[0].contains(&"target/image/arm64/fib-server".to_owned()));
    }

    /// What is left out of the context cannot be copied.
    #[test]
    fn nothing_that_is_copied_is_ignored() {
        let ignored = fs::read_to_string(workspace().join(".dockerignore")).unwrap();
        let kept: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
        for copy in image().copies {
            for from in copy.split_last().unwrap().1 {
                assert!(kept.iter().any(|kept| Path::new(from).starts_with(kept)), "{from}");
            }
        }
    }

    #[test]
    fn an_instruction_that_no_test_knows_is_refused() {
        assert!(Image::read("FROM debian", Arch::X86).is_err());
        assert!(Image::read("FROM scratch\nRUN true", Arch::X86).is_err());
        assert!(Image::read("FROM scratch", Arch::X86).is_err());
    }
}
