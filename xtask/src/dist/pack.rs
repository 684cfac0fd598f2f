//! An archive: the same bytes for the same contents, whoever packs them, and when.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::contents::Contents;

/// The checksums of all archives in a folder.
pub(crate) const SUMS: &str = "SHA256SUMS";

const EXTENSION: &str = ".tar.gz";

/// How archives are called.
pub(crate) fn file_name(folder: &str) -> String {
    format!("{folder}{EXTENSION}")
}

/// Packs all into one folder, in order, owned by root, and of one date.
pub(crate) fn pack(contents: &Contents, folder: &str, seconds: u64) -> Result<Vec<u8>> {
    // Neither a name nor a time: gzip would write both.
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let mut archive = Builder::new(gzip);
    for (name, entry) in &contents.0 {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(seconds);
        header.set_size(u64::try_from(entry.bytes.len())?);
        let path = format!("{folder}/{name}");
        archive
            .append_data(&mut header, &path, entry.bytes.as_slice())
            .with_context(|| format!("packing {path}"))?;
    }
    Ok(archive.into_inner()?.finish()?)
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Writes the checksums of the archives in a folder into it, as `sha256sum -c` reads them.
pub(crate) fn write_sums(folder: &Path) -> Result<()> {
    let files = fs::read_dir(folder)?.flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(EXTENSION)).collect();
    names.sort();
    let mut sums = String::new();
    for name in names {
        let sum = sha256(&fs::read(folder.join(&name))?);
        writeln!(sums, "{sum}  {name}")?;
    }
    fs::write(folder.join(SUMS), sums).context("writing the checksums")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use tar::Archive;
    use xshell::{Shell, cmd};

    use super::*;
    use crate::dist::contents::Entry;

    fn contents() -> Contents {
        let mut contents = Contents::default();
        contents.add_text("docs/b", "beta");
        contents.0.insert("a".to_owned(), Entry { bytes: b"alpha".to_vec(), mode: 0o755 });
        contents
    }

    #[test]
    fn the_same_is_packed_into_the_same() {
        let packed = || pack(&contents(), "fib", 1_700_000_000).unwrap();
        let once = packed();
        assert_eq!(once, packed());
        // The flags tell of no name, and the time is none.
        assert_eq!(once[3..8], [0; 5]);
    }

    #[test]
    fn an_entry_is_nobodys_and_of_the_date() {
        let packed = pack(&contents(), "fib", 1_700_000_000).unwrap();
        let mut archive = Archive::new(GzDecoder::new(packed.as_slice()));
        let mut listed = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let (header, path) = (entry.header(), entry.path().unwrap());
            let owner = (header.uid().unwrap(), header.gid().unwrap());
            assert_eq!((owner, header.mtime().unwrap()), ((0, 0), 1_700_000_000));
            listed.push(format!("{:o} {} {text}", header.mode().unwrap(), path.display()));
        }
        assert_eq!(listed, ["755 fib/a alpha", "644 fib/docs/b beta"]);
    }

    #[test]
    fn the_sums_are_those_that_others_compute() {
        let sh = Shell::new().unwrap();
        let folder = sh.create_temp_dir().unwrap();
        for name in ["b.tar.gz", "a.tar.gz"] {
            fs::write(folder.path().join(name), pack(&contents(), name, 0).unwrap()).unwrap();
        }
        write_sums(folder.path()).unwrap();
        sh.change_dir(folder.path());
        let told = cmd!(sh, "sha256sum -c {SUMS}").read().unwrap();
        assert_eq!(told, "a.tar.gz: OK\nb.tar.gz: OK");
        fs::write(folder.path().join("a.tar.gz"), "else").unwrap();
        assert!(cmd!(sh, "sha256sum -c {SUMS}").quiet().ignore_stderr().read().is_err());
    }
}
