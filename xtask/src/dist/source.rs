//! What is built: a folder, the files in it that are ours, and the day they are of.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::{build::target_folder, tools::workspace};

/// The sources, wherever they are.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) folder: PathBuf,
    /// Where its builds go.
    pub(crate) target_folder: PathBuf,
    /// What git knows, or would take, relative to the folder.
    pub(crate) files: Vec<PathBuf>,
    /// Whether that is what was committed.
    pub(crate) is_committed: bool,
    /// `SOURCE_DATE_EPOCH` or the date of the commit.
    pub(crate) date: SystemTime,
}

impl Source {
    /// The folder that this program was built in.
    pub(crate) fn here(sh: &Shell) -> Result<Self> {
        let list = cmd!(sh, "git ls-files -z --cached --others --exclude-standard").quiet();
        let list = list.read().context("dist asks git what belongs to the sources")?;
        let mut files: Vec<PathBuf> = list.split_terminator('\0').map(PathBuf::from).collect();
        files.retain(|file| workspace().join(file).is_file());
        let changes = cmd!(sh, "git status --porcelain").quiet().read()?;
        let seconds = match env::var("SOURCE_DATE_EPOCH") {
            Ok(seconds) => seconds,
            Err(_) => cmd!(sh, "git log -1 --format=%ct").quiet().read()?,
        };
        let seconds = seconds.parse().context("SOURCE_DATE_EPOCH counts seconds since 1970")?;
        Ok(Self {
            folder: workspace().to_owned(),
            target_folder: target_folder(),
            files,
            is_committed: changes.is_empty(),
            date: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        })
    }

    /// The same sources in another folder, which is new.
    pub(crate) fn copied_to(&self, folder: &Path) -> Result<Self> {
        for file in &self.files {
            let copy = folder.join(file);
            fs::create_dir_all(copy.parent().context("it lies in the folder")?)?;
            fs::copy(self.folder.join(file), copy)
                .with_context(|| format!("copying {}", file.display()))?;
        }
        let target_folder = folder.join("target");
        Ok(Self { folder: folder.to_owned(), target_folder, ..self.clone() })
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.date.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}
