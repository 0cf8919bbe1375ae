/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor - what the service manager that started us is told: sd_notify(3), for systemd's Type=notify.
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

/* It ends us when it does not hear WATCHDOG=1 for so long (WATCHDOG_USEC; WATCHDOG_PID, where set, must be us). 0: it does not watch. */
int64_t supervisor_watchdog_ms(void);
