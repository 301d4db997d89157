//! The program `agentd`.
fn main() {}
