//! Reads the document without any program that would have to be installed, and writes what it says as Rust.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

const DOCUMENT: &str = "separation.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={DOCUMENT}");
    let descriptors = protox::compile([DOCUMENT], ["."])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names a folder")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let service = tonic_prost_build::configure().build_client(false).build_transport(false).bytes(".");
    Ok(service.compile_fds(descriptors)?)
}
