#![no_main]

agentd_fuzz::target!(agentd::fuzz::transcript_read);
