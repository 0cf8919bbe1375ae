/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_events - zot's extensions.events: who is told of changes (worker/events/events.h).
 *
 *     "events": { "enable": true, "sinks": [ { "type": "http", "address": "https://ci.example/hook", "channel": "...", "timeout": "30s", "proxy": "http://...",
 *         "headers": { "X-Name": "value" }, "credentials": { "username", "password", "token", "file" }, "tlsconfig": { "cacertfile", "certfile", "keyfile" } } ] }
 *
 * "${NAME}" in a text of the file is that variable of `environment`. The keys of credentials and tlsconfig may stand in the sink itself as well. ZOT_EVENTS_SINKS has the list as JSON, and replaces that of the file; each text
 * of it may be "file:///path", and is that file's first line then.
 *
 * Limits  EVENT_SINKS_MAX sinks, EVENTS_HEADERS_MAX headers of each.
 */
#pragma once

#include "worker/settings.h"

/* s->event_sinks of what was read, none where events are off. Lives in `memory`. */
void settings_events_read(struct worker_settings *s, char *const *environment, struct settings_memory *memory, struct buf *warnings, struct buf *errors);
/* Are the files that sinks name there, and can they be used? For `verify`. */
bool settings_events_check(const struct worker_settings *s, struct error *err) MUST_CHECK;
