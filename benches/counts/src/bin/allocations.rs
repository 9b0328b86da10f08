//! Counts how often each step asks for memory once everything is warm: `allocations FOLDER` prints a line for each.

use std::alloc::System;
use std::path::PathBuf;

use smartgate::benching::{Bench, STEPS};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("allocations FOLDER");
        std::process::exit(2);
    };
    let bench = Bench::new(&PathBuf::from(folder));
    for (name, step) in STEPS {
        step(&bench);
        let region = Region::new(ALLOCATOR);
        std::hint::black_box(step(std::hint::black_box(&bench)));
        let change = region.change();
        println!("{name}\t{}", change.allocations + change.reallocations);
    }
}
