//! When must the binary be built again? When a file of the library in it changed.

fn main() {
    println!("cargo::rerun-if-changed=graphs");
    println!("cargo::rerun-if-changed=scripts");
    println!("cargo::rerun-if-changed=src/build.rs");
}
