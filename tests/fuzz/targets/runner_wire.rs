#![no_main]

agentd_fuzz::target!(agentd::fuzz::runner_wire);
