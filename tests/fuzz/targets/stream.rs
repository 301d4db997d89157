#![no_main]

agentd_fuzz::target!(agentd::fuzz::stream);
