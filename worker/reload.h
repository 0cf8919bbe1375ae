/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload - what may change while the worker runs, after SIGHUP or when one of the files has changed: of the settings
 * http.accessControl, http.ratelimit, http.auth.failDelay and log.level; the certificates; and the log files, which
 * are opened anew. (The htpasswd file looks after itself: auth/htpasswd.h.)
 *
 * All or nothing for the settings, and for the certificates: what is wrong is told in the log, and the old one stays in
 * force. Each key that has changed is told, and one that needs a restart is named in a warning.
 * Thread  main.
 */
#pragma once

#include "common/cleanup.h"

struct reload;
struct worker;
struct reload *reload_new(struct worker *worker);
void reload_free(struct reload *reload);
AUTO_DEFINE(reload)
/* Now, whatever the files' times say. */
void reload_all(struct reload *reload);
/* If a file has changed since the last look. */
void reload_changed(struct reload *reload);
