//! Folders around a module: the loader with all builds as a package, and a page that runs the model in the browser.

use octet_ir::{Diagnostic, Module};
use octet_plugin::Artifact;

use crate::Simd;

const LOADER: &str = include_str!("../js/octet.js");
const TYPES: &str = include_str!("../js/octet.d.ts");
const PACKAGE: &str = include_str!("../js/package.json");
const PAGE: &str = include_str!("../js/demo.html");

/// The builds of a model.
pub(crate) type Builds = Vec<(Simd, Vec<u8>)>;

/// A package of the loader and all builds, in the folder `*-loader`.
pub(crate) fn loader(builds: &Builds) -> Vec<Artifact> {
    let file = |name: &str, bytes: &[u8]| Artifact { path: Some(format!("*-loader/{name}")), bytes: bytes.to_vec() };
    let mut files =
        vec![file("octet.js", LOADER.as_bytes()), file("octet.d.ts", TYPES.as_bytes()), file("package.json", PACKAGE.as_bytes())];
    files.extend(builds.iter().map(|(simd, bytes)| file(&format!("model.{}.wasm", simd.name()), bytes)));
    files
}

/// Most channels of a picture.
const CHANNELS: usize = 4;

/// Whether a model takes one picture and nothing else: rows, columns and at most four channels, which may come first.
fn takes_picture(model: &Module) -> bool {
    let [input] = model.main().inputs() else { return false };
    match *model.main().ty(*input).shape.dims() {
        [1, first, _, last] => (1..=CHANNELS).contains(&last) || (1..=CHANNELS).contains(&first),
        [1, _, _] => true,
        _ => false,
    }
}

/// A page that needs nothing but itself: `*-demo.html`.
pub(crate) fn demo(model: &Module, builds: &Builds) -> Result<Artifact, Diagnostic> {
    if !takes_picture(model) {
        let shapes: Vec<String> = model.main().inputs().iter().map(|&v| model.main().ty(v).to_string()).collect();
        return Err(Diagnostic::error(
            "WGN006",
            format!(
                "the page runs models of one picture, and this model takes {}",
                if shapes.is_empty() { "nothing".into() } else { shapes.join(", ") }
            ),
        )
        .with_help("leave the page out; the loader runs any model"));
    }
    let texts: Vec<String> = builds.iter().map(|(simd, bytes)| format!("\"{}\": \"{}\"", simd.name(), base64(bytes))).collect();
    let name: String = model.main().name().chars().map(|c| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '_' }).collect();
    let page = PAGE.replace("@NAME@", &name).replace("@LOADER@", LOADER).replace("@BUILDS@", &format!("{{ {} }}", texts.join(", ")));
    Ok(Artifact { path: Some("*-demo.html".into()), bytes: page.into_bytes() })
}

/// Bytes as base64.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0usize, |n, &b| (n << 8) | usize::from(b)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let index = (number >> (18 - 6 * digit)) & 63;
            text.push(if digit > three.len() { '=' } else { char::from(DIGITS[index]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_has_the_vectors_of_rfc_4648() {
        let vectors = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in vectors {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
