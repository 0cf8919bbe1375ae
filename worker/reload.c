/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/reload.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/auth/auth_new.h"
#include "worker/auth/rate_limit.h"
#include "worker/cluster/cluster_new.h"
#include "worker/front/audit.h"
#include "worker/registry/registry.h"
#include "worker/registry/repository_room.h"
#include "worker/retention_rules.h"
#include "worker/settings_http.h"
#include "worker/worker.h"

#define FILES    4
#define TEXT_MAX (1024 * 1024)

/* Settings that were read again. Rules point into them, so they live to the end. */
struct reading {
	struct reading *before;
	struct settings_memory *memory;
};

struct reload {
	struct worker *worker;
	struct reading *readings;
	uint64_t seen[FILES];
	struct worker_settings now; /* what is in force */
};

/* A certificate on its way to all loops; the last one frees it. */
struct renewal {
	const struct worker_settings *settings;
	struct tls_files files;
	atomic_uint loops_left;
};

struct renewal_of_loop {
	struct renewal *renewal;
	struct front_loop *loop;
};

static void files_of(const struct reload *reload, const char *files[FILES])
{
	const struct worker_settings *s = reload->worker->settings;

	files[0] = s->file;
	files[1] = s->tls_cert;
	files[2] = s->tls_key;
	files[3] = s->tls_ca;
}

/* Changes with the file's content, or with the file. */
static uint64_t mark_of(const char *file)
{
	struct stat st;

	if (!file || stat(file, &st) != 0)
		return 0;
	return (uint64_t)st.st_ino * 31 + (uint64_t)st.st_size * 131071 +
	       (uint64_t)st.st_mtim.tv_sec * 1000000007 + (uint64_t)st.st_mtim.tv_nsec;
}

static bool look(struct reload *reload)
{
	const char *files[FILES];
	bool changed = false;

	files_of(reload, files);
	for (unsigned i = 0; i < FILES; i++) {
		uint64_t mark = mark_of(files[i]);

		/* One that is being replaced is not there for a moment. */
		changed = changed || (mark && mark != reload->seen[i]);
		if (mark)
			reload->seen[i] = mark;
	}
	return changed;
}

struct reload *reload_new(struct worker *worker)
{
	struct reload *reload = xnew(struct reload);

	reload->worker = worker;
	reload->now = *worker->settings;
	(void)look(reload);
	return reload;
}

void reload_free(struct reload *reload)
{
	while (reload && reload->readings) {
		struct reading *reading = reload->readings;

		reload->readings = reading->before;
		settings_memory_free(reading->memory);
		free(reading);
	}
	free(reload);
}

/* ---- settings ---- */

static void say(const struct buf *errors)
{
	struct str rest = buf_str(errors), line;

	while (str_until(&rest, '\n', &line))
		log_error("reload.settings", "error=%s the old settings stay in force", log_quote(line));
}

/* http.accessControl is here too: what it became is told by itself. */
static bool is_obeyed(const struct setting *row)
{
	static const char *const names[] = { "http.ratelimit.rate", "http.ratelimit.methods",
		"ZOT_RATE_LIMIT_METHODS", "http.auth.failDelay", "http.accessControl", "log.level",
		"storage.retention", "ZOT_RETENTION", "storage.maxRepos" };
	const char *name = row->path ? row->path : row->env;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

struct difference {
	const struct worker_settings *before, *after;
};

static int64_t number_of(const struct worker_settings *settings, const struct setting *row)
{
	int64_t n;

	memcpy(&n, (const char *)settings + row->offset, sizeof(n));
	return n;
}

static void tell_change(void *arg, const struct setting *row)
{
	const struct difference *difference = arg;
	const char *name = row->path ? row->path : row->env;

	if (!is_obeyed(row))
		log_warn("reload.settings",
			"key=%s has changed and needs a restart; the old value stays in force", name);
	else if (row->type == SETTING_NUMBER)
		log_info("reload.settings", "key=%s from=%" PRId64 " to=%" PRId64, name,
			number_of(difference->before, row), number_of(difference->after, row));
	else
		log_info("reload.settings", "key=%s has changed", name);
}

/* The rest of `now` stays what the process began with. */
static void obey(struct reload *reload, const struct worker_settings *settings)
{
	struct difference difference = { &reload->now, settings };
	struct worker *worker = reload->worker;

	settings_compare(&worker_settings_table, &reload->now, settings, tell_change, &difference);
	log_init((enum log_level)settings->log_level, worker->settings->log_format != 0);
	rate_limit_set(worker->front.rate_limit, &settings->rate_rules);
	auth_set_fail_delay(worker->front.auth, settings->fail_delay_s * 1000);
	reload->now.rate_limit = settings->rate_limit;
	reload->now.rate_limit_methods = settings->rate_limit_methods;
	reload->now.rate_limit_methods_node = settings->rate_limit_methods_node;
	reload->now.fail_delay_s = settings->fail_delay_s;
	reload->now.access_control = settings->access_control;
	reload->now.log_level = settings->log_level;
	repository_room_set(worker->front.registry->room, (uint64_t)settings->max_repos);
	reload->now.max_repos = settings->max_repos;
	retention_rules_set(worker->retention, settings);
	reload->now.retention = settings->retention;
	reload->now.retention_text = settings->retention_text;
}

static void reload_settings(struct reload *reload)
{
	AUTO_FINI(buf) warnings = buf_limit(TEXT_MAX);
	AUTO_FINI(buf) errors = buf_limit(TEXT_MAX);
	struct reading *reading = xnew(struct reading);
	struct worker_settings settings;
	struct error err;

	if (!worker_settings_load(reload->worker->settings->file, environ, &settings, &reading->memory,
		    &warnings, &errors)) {
		say(&errors);
		free(reading);
		return;
	}
	if (cluster_set_access(reload->worker->front.cluster, settings.access_control, &err)) {
		log_info("reload.access", "file=%s", log_quote(str_of(reload->worker->settings->file)));
		reading->before = reload->readings;
		reload->readings = reading;
		obey(reload, &settings);
		return;
	}
	log_error("reload.access", "error=%s the old settings stay in force", log_quote(str_of(err.text)));
	settings_memory_free(reading->memory);
	free(reading);
}

/* ---- certificates ---- */

static void renewal_free(struct renewal *renewal)
{
	tls_files_fini(&renewal->files);
	free(renewal);
}

static void renew(void *arg)
{
	struct renewal_of_loop *own = arg;
	const struct worker_settings *settings = own->renewal->settings;
	struct http_tls tls = tls_files_view(&own->renewal->files);
	struct error err;

	if (!http_server_reload_tls(own->loop->server, &tls, &err))
		log_error("reload.tls", "error=%s the old certificate stays in force",
			log_quote(str_of(err.text)));
	else if (loop_index(own->loop->loop) == 0)
		log_info("reload.tls", "certificate=%s", log_quote(str_of(settings->tls_cert)));
	if (atomic_fetch_sub(&own->renewal->loops_left, 1) == 1)
		renewal_free(own->renewal);
	free(own);
}

static void reload_tls(struct reload *reload)
{
	struct renewal *renewal = xnew(struct renewal);
	struct worker *worker = reload->worker;
	const struct tls_paths paths = settings_http_tls(worker->settings);
	struct error err;

	renewal->settings = worker->settings;
	if (!tls_files_read(&renewal->files, &paths, &err)) {
		log_error("reload.tls", "error=%s the old certificate stays in force",
			log_quote(str_of(err.text)));
		renewal_free(renewal);
		return;
	}
	atomic_init(&renewal->loops_left, worker->front.loops_len);
	for (unsigned i = 0; i < worker->front.loops_len; i++) {
		struct renewal_of_loop *own = xnew(struct renewal_of_loop);

		*own = (struct renewal_of_loop){ renewal, &worker->front.loops[i] };
		loop_post(own->loop->loop, renew, own);
	}
}

/* ---- all ---- */

/* logrotate moves them away and then sends SIGHUP. */
static void reopen_logs(const struct worker *worker)
{
	const char *output = worker->settings->log_output;

	if (output && !log_open(output))
		log_error("reload.log", "file=%s cannot be opened, the old one is written on",
			log_quote(str_of(output)));
	audit_reopen(worker->front.audit);
}

void reload_all(struct reload *reload)
{
	reopen_logs(reload->worker);
	(void)look(reload);
	if (reload->worker->settings->file)
		reload_settings(reload);
	if (reload->worker->settings->tls_cert)
		reload_tls(reload);
}

void reload_changed(struct reload *reload)
{
	if (look(reload))
		reload_all(reload);
}
