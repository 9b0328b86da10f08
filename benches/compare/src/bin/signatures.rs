//! What the signatures of a token request cost by themselves: an ES384 assertion verified, an ES256 token signed.
//!
//! `signatures SECONDS` prints how many such pairs a second of CPU time has room for.

use std::process;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    KeyPair as _, UnparsedPublicKey,
};
use smartgate_compare::sample::Sample;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is signed: about as long as the claims are.
const ASSERTION: [u8; 400] = [b'a'; 400];
const TOKEN: [u8; 600] = [b't'; 600];

fn main() -> anyhow::Result<()> {
    let seconds: f64 = std::env::args().nth(1).context("SECONDS is missing")?.parse()?;
    let failed = |_| anyhow!("a key or a signature failed");
    let random = SystemRandom::new();
    let client = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(failed)?;
    let own = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
    let assertion = client.sign(&random, &ASSERTION).map_err(failed)?;
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, client.public_key().as_ref());
    let (mut pairs, until) = (0_u32, Instant::now() + Duration::from_secs_f64(seconds));
    let before = Sample::take(&[process::id()], &[])?;
    while Instant::now() < until {
        key.verify(&ASSERTION, assertion.as_ref()).map_err(failed)?;
        std::hint::black_box(own.sign(&random, &TOKEN).map_err(failed)?);
        pairs += 1;
    }
    let after = Sample::take(&[process::id()], &[])?;
    println!("{}", f64::from(pairs) / (after.cpu - before.cpu).max(0.01));
    Ok(())
}
