//! Proves what `dist` promises, in `ci`: with programs that are compiled fast, and really run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use fib_client::{Connection, Options};
use fib_core::Decimal;
use xshell::{Shell, cmd};

use super::{
    Archive, again,
    compile::{Profile, Recipe},
    container::{Container, Engine},
    contents::Contents,
    image::Image,
    pack,
    source::Source,
    target::{Arch, Target},
    toolchain::{Toolchain, ToolchainKind},
};
use crate::{
    build::target_folder,
    server::Server,
    tools::{Tool, say, skip, workspace},
};

/// Everything in a static archive but `deploy/`.
const EXPECTED: &str = include_str!("contents.txt");

const QUESTION: u64 = 30;
const ANSWER: &str = "832040";

/// How a container is started whose server has children, besides the plain one.
const WITH_CHILDREN: [&[&str]; 3] = [
    &["--compute", "processes", "--algorithm", "recursive"],
    &["--strategy", "prefork"],
    &["--strategy", "prefork", "--compute", "processes", "--algorithm", "recursive"],
];

/// How a server is started in an emulator, and what it is asked. An emulator starts itself when a
/// program starts itself as `/proc/self/exe`: no children there.
const EMULATED: [(&[&str], u64); 3] = [
    (&[], QUESTION),
    // Of this size it is computed by what is different on each kind of processor.
    (&[], 300_000),
    (&["--algorithm", "recursive"], QUESTION),
];

const CHECK_SBOM: &str = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(error and str(error))";

/// Packs a static archive for this machine and one for the other, and proves what they are.
pub(crate) fn prove(sh: &Shell) -> Result<()> {
    let folder = target_folder().join("dist-smoke");
    sh.remove_path(&folder)?;
    let (source, guides) = (Source::here(sh)?, Contents::guides(sh)?);
    let pack = |toolchain: &Toolchain, arch| -> Result<_> {
        let target = Target::of_static(arch);
        let recipe = Recipe::new(sh, &source, toolchain, target, Profile::Smoke)?;
        let archive = Archive::make(sh, &recipe, &guides)?;
        archive.write(&folder)?;
        Ok((recipe, archive))
    };
    let own = Arch::of_this_machine()?;
    let (recipe, archive) = pack(&Toolchain::find(sh, ToolchainKind::Active)?, own)?;
    check_contents(&archive, &source)?;
    let unpacked = unpack(sh, &folder, &archive, own)?;
    check_sbom(sh, &unpacked)?;
    prove_image(&folder, own)?;
    again::verify(sh, &recipe, &archive, &guides)?;

    let other = own.other();
    if let Some((emulator, toolchain)) = find_emulation(sh, other)? {
        let (_, archive) = pack(&toolchain, other)?;
        let unpacked = unpack(sh, &folder, &archive, other)?;
        check_sbom(sh, &unpacked)?;
        prove_emulated(&emulator, &unpacked)?;
    }
    check_sums(sh, &folder)?;
    say("dist: what is packed is complete, reproducible, and runs");
    Ok(())
}

/// Nothing is missing, and nothing is there that nobody knows of.
fn check_contents(archive: &Archive, source: &Source) -> Result<()> {
    let deployment = source.files.iter().filter(|file| file.starts_with("deploy"));
    let deployment = deployment.map(|file| file.display().to_string());
    let mut expected: Vec<_> = EXPECTED.lines().map(str::to_owned).chain(deployment).collect();
    expected.sort();
    // Distributions pass on the licence of Rust's library as a text.
    let names = archive.contents.0.keys().map(|name| name.replace("library.txt", "library.html"));
    let names: Vec<_> = names.collect();
    ensure!(names == expected, "an archive holds {names:#?}, but should hold {expected:#?}");
    Ok(())
}

/// Unpacks an archive to where the Dockerfile takes it from, as docs/dist.md tells.
fn unpack(sh: &Shell, folder: &Path, archive: &Archive, arch: Arch) -> Result<PathBuf> {
    let unpacked = folder.join("target/image").join(arch.debian());
    fs::create_dir_all(&unpacked)?;
    let path = folder.join(archive.name());
    cmd!(sh, "tar -xzf {path} --strip-components=1 -C {unpacked}").quiet().run()?;
    Ok(unpacked)
}

/// The document is what the published schema says.
fn check_sbom(sh: &Shell, unpacked: &Path) -> Result<()> {
    if cmd!(sh, "python3 -c 'import cyclonedx.validation.json, jsonschema'")
        .quiet()
        .ignore_stderr()
        .run()
        .is_err()
    {
        let install = "`pip install 'cyclonedx-python-lib[json-validation]'`";
        return skip("the schema of the SBOM", install);
    }
    let sbom = unpacked.join("fib.cdx.json");
    cmd!(sh, "python3 -c {CHECK_SBOM} {sbom}").quiet().run().context("checking the SBOM")
}

/// The image's files, alone in a folder, serve; as its process does, and is ended.
fn prove_image(folder: &Path, arch: Arch) -> Result<()> {
    let Some(engine) = Engine::find("the container of the image")? else {
        return Ok(());
    };
    let dockerfile = fs::read_to_string(workspace().join("Dockerfile"))?;
    let image = Image::read(&dockerfile, arch)?;
    let root = folder.join("root");
    image.assemble(folder, &root)?;
    let container = Container::start(&engine, &image, &root, &[])?;
    ask_within(&container)?;
    let healthy = container.check_health()?;
    ensure!(healthy == "1\n", "the health check printed {healthy:?}");
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = container.get(9_100, path)?;
        ensure!(answer.starts_with("HTTP/1.1 200 "), "{path} answered {answer}");
    }
    container.stop()?;
    for arguments in WITH_CHILDREN {
        let context = || format!("in a container, {}", arguments.join(" "));
        let container =
            Container::start(&engine, &image, &root, arguments).with_context(context)?;
        ask_within(&container).and_then(|()| container.stop()).with_context(context)?;
    }
    Ok(())
}

fn ask_within(container: &Container<'_>) -> Result<()> {
    let answer = container.within(|| {
        let mut server = Connection::open(&"127.0.0.1:25000".parse()?, Options::default())?;
        Ok(server.ask(QUESTION)?)
    })?;
    ensure!(answer == ANSWER, "F({QUESTION}) is not {answer}");
    Ok(())
}

/// Who runs the other machine's programs, and who builds them; `None`, said aloud, if nobody.
fn find_emulation(sh: &Shell, arch: Arch) -> Result<Option<(PathBuf, Toolchain)>> {
    let what = format!("a server for {}", arch.gnu());
    let target = Target::of_static(arch);
    let emulator = match arch {
        Arch::Arm => "qemu-aarch64-static",
        Arch::X86 => "qemu-x86_64-static",
    };
    let emulator = Tool { program: emulator, install: "apt-get install qemu-user-static" };
    let Some(emulator) = emulator.find_or_skip(&what)? else {
        return Ok(None);
    };
    let active = Toolchain::find(sh, ToolchainKind::Active)?;
    let refusal = match active.require(target) {
        Ok(()) => return Ok(Some((emulator, active))),
        Err(refusal) => refusal,
    };
    let system = Toolchain::find(sh, ToolchainKind::System).ok();
    match system.filter(|system| system.require(target).is_ok()) {
        Some(system) => Ok(Some((emulator, system))),
        None => skip(&what, &format!("{refusal:#}")).map(|()| None),
    }
}

/// Its server answers, and its client asks.
fn prove_emulated(emulator: &Path, unpacked: &Path) -> Result<()> {
    for (arguments, n) in EMULATED {
        let mut command = Command::new(emulator);
        command.arg(unpacked.join("fib-server")).args(["--listen", "127.0.0.1:0"]).args(arguments);
        command.env("RUST_LOG", "warn");
        let server = Server::start(command).context("starting a server in an emulator")?;
        let mut client = Command::new(emulator);
        client.arg(unpacked.join("fib-client")).args(["get", &n.to_string(), "--server"]);
        let output = client.arg(server.address()).output()?;
        let answer = String::from_utf8(output.stdout)?;
        let is_right = Decimal::verified(n, answer.trim_end().to_owned()).is_some();
        ensure!(is_right, "in an emulator, F({n}) is not {answer:?}");
        server.stop()?;
    }
    Ok(())
}

/// The checksums are those that everybody else computes.
fn check_sums(sh: &Shell, folder: &Path) -> Result<()> {
    pack::write_sums(folder)?;
    let _there = sh.push_dir(folder);
    let sums = pack::SUMS;
    Ok(cmd!(sh, "sha256sum --quiet -c {sums}").quiet().run()?)
}
