//! Runs every step so many times: `counts TIMES FOLDER`, under callgrind, which counts its instructions.

use std::path::PathBuf;

use smartgate::benching::{Bench, STEPS};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(times), Some(folder)) = (arguments.next().and_then(|times| times.parse().ok()), arguments.next()) else {
        eprintln!("counts TIMES FOLDER");
        std::process::exit(2);
    };
    let bench = Bench::new(&PathBuf::from(folder));
    for (_, step) in STEPS {
        for _ in 0..times {
            std::hint::black_box(step(std::hint::black_box(&bench)));
        }
    }
}
