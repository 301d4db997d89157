#![no_main]

agentd_fuzz::target!(agentctl::fuzz::shown);
