//! Compiles the kernels for NVIDIA's cards, for a card by nvcc (feature `cuda`), for a CPU by the C++ compiler (feature
//! `emulation`). Without these features there is nothing to do, and no such compiler is needed.

const SOURCES: &str = "cuda";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={SOURCES}");
    #[cfg(feature = "cuda")]
    done(card::compile());
    #[cfg(feature = "emulation")]
    done(emulation::compile());
}

/// What goes wrong is a sentence, and not the name of a type.
#[cfg(any(feature = "cuda", feature = "emulation"))]
fn done(compiled: Result<(), Box<dyn std::error::Error>>) {
    if let Err(error) = compiled {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

/// Files of a folder whose names end like that, in order.
#[cfg(any(feature = "cuda", feature = "emulation"))]
fn files(folder: &str, extension: &str) -> std::io::Result<Vec<std::path::PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|other| other == extension));
    files.sort();
    Ok(files)
}

#[cfg(feature = "emulation")]
mod emulation {
    pub(crate) fn compile() -> Result<(), Box<dyn std::error::Error>> {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").opt_level(2).files(super::files("cuda/emulation", "cpp")?);
        Ok(build.try_compile("emulation")?)
    }
}

#[cfg(feature = "cuda")]
mod card {
    use std::error::Error;
    use std::fmt::Write as _;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::{env, fs, thread};

    /// Machine code for Ampere (A100; A10 and RTX 30), Ada (L4, RTX 40) and Hopper (H100, H200). A newer card's driver
    /// compiles the PTX; between these there is none that does not run the code of the one below it.
    const CODE: [&str; 2] =
        ["arch=compute_80,code=[sm_80,sm_86,sm_89]", "arch=compute_90,code=[sm_90,compute_90]"];
    const PTX: &str = "compute_80.ptx";

    pub(crate) fn compile() -> Result<(), Box<dyn Error>> {
        for variable in ["CUDA_HOME", "CUDA_PATH"] {
            println!("cargo:rerun-if-env-changed={variable}");
        }
        let nvcc = nvcc()?;
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names a folder")?);
        let sources = super::files(super::SOURCES, "cu")?;
        let modules: Vec<Result<String, String>> = thread::scope(|scope| {
            let compiled: Vec<_> =
                sources.iter().map(|source| scope.spawn(|| module(&nvcc, source, &out))).collect();
            compiled.into_iter().map(|module| module.join().expect("an error is no panic")).collect()
        });
        let (toolkit, build) = version(&nvcc)?;
        let mut kernels = format!(
            "pub(super) const TOOLKIT: (u32, u32) = {toolkit:?};\n\
             pub(super) const COMPILER: &str = \"nvcc {build}\";\n\
             pub(super) static MODULES: &[Module] = &[\n"
        );
        for module in modules {
            kernels += &module?;
        }
        kernels += "];\n";
        Ok(fs::write(out.join("modules.rs"), kernels)?)
    }

    /// That of an installed toolkit, else that which `scripts/build-cuda.sh` has fetched.
    fn nvcc() -> Result<PathBuf, String> {
        let folder = |variable: &str| env::var_os(variable).map(PathBuf::from);
        let mut folders: Vec<_> =
            ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(folder).map(|home| home.join("bin")).collect();
        folders.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        folders.extend(cache.map(|cache| cache.join("msaas/cuda/bin")));
        let found = folders.into_iter().map(|folder| folder.join("nvcc")).find(|nvcc| nvcc.is_file());
        found.ok_or_else(|| {
            "the feature `cuda` needs NVIDIA's compiler: set CUDA_HOME, put nvcc on the PATH, or let \
             scripts/build-cuda.sh fetch it"
                .into()
        })
    }

    fn run(command: &mut Command) -> Result<String, String> {
        let output =
            command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("nvcc refuses the kernels\n{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Of the toolkit and of nvcc itself, which says `release 13.0, V13.0.88`.
    fn version(nvcc: &Path) -> Result<((u32, u32), String), String> {
        let text = run(Command::new(nvcc).arg("--version"))?;
        let release = text.split("release ").nth(1).and_then(|rest| rest.split_once(", V"));
        let toolkit = release.and_then(|(release, _)| release.split_once('.'));
        let toolkit = toolkit.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let build = release.and_then(|(_, rest)| rest.split_whitespace().next());
        toolkit.zip(build.map(Into::into)).ok_or_else(|| "nvcc says no version".into())
    }

    /// Compiles one source; says in Rust what came out.
    fn module(nvcc: &Path, source: &Path, out: &Path) -> Result<String, String> {
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        let image = out.join(format!("{name}.fatbin"));
        // What is between source and image stays, since the names, threads and arguments of kernels are read there.
        let between = out.join(&*name);
        fs::create_dir_all(&between).map_err(|error| format!("{}: {error}", between.display()))?;
        let mut command = Command::new(nvcc);
        command
            .args([
                "-fatbin",
                "-std=c++17",
                "-O3",
                "--threads",
                "0",
                "-Xfatbin=-compress-all",
                "--keep",
                "--keep-dir",
            ])
            .arg(&between);
        command.args(CODE.iter().flat_map(|code| ["-gencode", code]));
        run(command.arg("-o").arg(&image).arg(source))?;
        let ptx = between.join(format!("{name}.{PTX}"));
        let ptx = fs::read_to_string(&ptx).map_err(|error| format!("{}: {error}", ptx.display()))?;
        let mut module = format!(
            "    Module {{ image: &Image(*include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.fatbin\"))), kernels: &[\n"
        );
        for kernel in ptx.split(".visible .entry ").skip(1) {
            let (name, args, threads) = declaration(kernel)
                .ok_or_else(|| format!("no kernel of ours: {}", &kernel[..kernel.len().min(300)]))?;
            writeln!(module, "        Kernel {{ name: {name:?}, args: {args}, threads: {threads} }},")
                .map_err(|error| error.to_string())?;
        }
        Ok(module + "    ] },\n")
    }

    /// Name, bytes of the one argument, and threads of a block, of `NAME( .param .align 8 .b8 NAME_param_0[BYTES] )
    /// .maxntid THREADS, 1, 1 {`.
    fn declaration(kernel: &str) -> Option<(&str, u32, u32)> {
        let (name, rest) = kernel.split_once('(')?;
        let args = rest.split_once("_param_0[")?.1.split_once(']')?.0.parse().ok()?;
        let threads = rest.split_once(".maxntid ")?.1.split([',', '\n']).next()?.trim().parse().ok()?;
        Some((name, args, threads))
    }
}
