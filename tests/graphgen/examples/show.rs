//! Writes the graph of a seed as IR text, and what is too long for text beside it:
//! `cargo run -p octet-graphgen --example show -- float 181 litert graph.ir`. Operations named behind that are the only ones:
//! `... int8 3 tflm graph.ir conv_2d add`.

use std::process::ExitCode;

use octet_graphgen::{Profile, Runtime, generate};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [profile, seed, runtime, out, only @ ..] = arguments.as_slice() else {
        eprintln!("show PROFILE SEED any|litert|tflm OUT.ir [OPERATION...]");
        return ExitCode::FAILURE;
    };
    let known = Profile::all().into_iter().find(|(name, _)| name == profile);
    let runtime =
        [("any", Runtime::Any), ("litert", Runtime::LiteRt), ("tflm", Runtime::Tflm)].into_iter().find(|(name, _)| name == runtime);
    let (Some((_, profile)), Some((_, runtime)), Ok(seed)) = (known, runtime, seed.parse()) else {
        eprintln!("there is no such profile, seed or runtime");
        return ExitCode::FAILURE;
    };
    let profile = profile.on(runtime);
    // They live as long as the program.
    let only: Vec<&'static str> = only.iter().map(|name| &*Box::leak(name.clone().into_boxed_str())).collect();
    let mut module = generate(seed, &if only.is_empty() { profile } else { profile.only(&only) });
    module.compact();
    let printed = octet_ir::text::print(&module);
    let blobs = if printed.blobs.is_empty() { Ok(()) } else { std::fs::write(format!("{out}.bin"), &printed.blobs) };
    match std::fs::write(out, &printed.text).and(blobs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{out}: {why}");
            ExitCode::FAILURE
        }
    }
}
