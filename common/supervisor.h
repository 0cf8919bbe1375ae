/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor - what the service manager that started us is told: sd_notify(3), for systemd's Type=notify; and a port that is kept over execv().
 *
 * Its socket is in NOTIFY_SOCKET (a path, or @ and an abstract name); without one nobody is told anything. A manager that
 * does not listen, or not fast enough, is no error: it has a timeout for that itself.
 *
 * Thread  any; the environment is not changed meanwhile.
 */
#pragma once

#include <stdint.h>

/* Lines like "READY=1\nSTATUS=serves"; "STOPPING=1"; "WATCHDOG=1". Never waits. */
void supervisor_tell(const char *lines);

/*
 * The port over execv(): it stays open, so whoever connects meanwhile waits and is not refused. What is told is what systemd tells of a socket
 * that it made (sd_listen_fds(3)): LISTEN_FDS=1, LISTEN_PID, descriptor 3.
 */
/* fd: taken, 3 from now on. -1: nothing is kept. No other thread runs. */
void supervisor_keep_listening(int fd);
/* Once. -1: nothing was kept for us. Else a socket that listens, the caller's, and its port. */
int supervisor_listening(uint16_t *ret_port);

/* It ends us when it does not hear WATCHDOG=1 for so long (WATCHDOG_USEC; WATCHDOG_PID, where set, must be us). 0: it does not watch. */
int64_t supervisor_watchdog_ms(void);
