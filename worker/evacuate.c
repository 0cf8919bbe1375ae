/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/evacuate.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/url.h"
#include "worker/cluster/leader_call.h"
#include "worker/cluster/self_address.h"
#include "worker/settings_cluster.h"

#define AGAIN_MS   1000
#define ALONE_MS   (10 * 60 * 1000) /* no leader answers for so long: it is given up */
#define TOTAL_MS   20000
#define ANSWER_MAX (256 * 1024)

struct evacuation {
	struct member_settings member;
	struct buf name, path, login;
	int64_t told_held, told_uploads; /* as it was said last; -1: nothing was */
	int64_t heard_ms;                /* when a leader answered; 0: none has yet */
};

static bool ask_one(
	const struct evacuation *run, const char *leader, struct http_result *result, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) url = buf_limit(4096);

	buf_add(&url, url_without_end(str_of(leader)));
	buf_add(&url, buf_str(&run->path));
	if (!buf_check(&url, "the URL of a leader", err))
		return false;
	CHECK(http_headers_add(headers, STR("Authorization"), buf_str(&run->login)));
	CHECK(http_headers_add(headers, STR("Content-Type"), STR("application/json")));
	if (!http_headers_add(headers, STR("Zot-Worker-Name"), buf_str(&run->name)))
		return error_set(err, ERROR_INVALID, NULL, "CLUSTER_WORKER_NAME is no text of a header");
	if (run->member.leader_host &&
		!http_headers_add(headers, STR("Host"), str_of(run->member.leader_host)))
		return error_set(err, ERROR_INVALID, NULL, "CLUSTER_LEADER_HOST is no text of a header");
	struct http_call_spec spec = { .method = "POST",
		.url = buf_text(&url),
		.headers = headers,
		.body = STR("{}"),
		.body_fd = -1,
		.has_body = true,
		.ca_file = run->member.ca_file,
		.cert_file = run->member.cert_file,
		.key_file = run->member.key_file,
		.total_ms = TOTAL_MS };
	return http_send(&spec, result, err);
}

/* The first leader that answers, but for one that cannot now. *ret_refused: it is no use to ask again. */
static bool ask(
	const struct evacuation *run, struct http_result *result, bool *ret_refused, struct error *err)
{
	*ret_refused = false;
	for (size_t i = 0; i < run->member.leader_urls.len; i++) {
		http_result_fini(result);
		http_result_init(result, ANSWER_MAX);
		if (!ask_one(run, run->member.leader_urls.at[i], result, err))
			continue;
		if (result->status == 200 || result->status == 202)
			return true;
		(void)error_set(err, ERROR_UNAVAILABLE, NULL, "the leader %s answered %u: %.300s",
			run->member.leader_urls.at[i], result->status, buf_text(&result->body));
		*ret_refused = result->status < 500;
		if (*ret_refused)
			return false;
	}
	return false;
}

static int64_t stat_of(const struct json_doc *doc, const char *name)
{
	const struct json *members = json_find(json_root(doc), "members"), *stats, *value;
	int64_t count = -1;

	if (!members || json_kind(members) != JSON_ARRAY || !json_len(members))
		return -1;
	stats = json_find(json_at(members, 0), "stats");
	value = stats && json_kind(stats) == JSON_OBJECT ? json_find(stats, name) : NULL;
	return value && json_get_int(value, &count) ? count : -1;
}

/* What it waits for, when that changes. */
static void tell(struct evacuation *run, const struct http_result *result)
{
	AUTO(json_doc) *doc = NULL;
	int64_t held, uploads;

	if (!json_parse(buf_str(&result->body), &doc, NULL))
		return;
	held = stat_of(doc, "movesHeld");
	uploads = stat_of(doc, "uploads");
	if (held >= 0 && held != run->told_held)
		(void)printf("%" PRId64 " repositories are to move still\n", held);
	if (held <= 0 && uploads > 0 && uploads != run->told_uploads)
		(void)printf("%" PRId64 " uploads are open still\n", uploads);
	run->told_held = held;
	run->told_uploads = uploads;
	(void)fflush(stdout);
}

/* The leader may be restarted meanwhile. */
static bool may_wait(struct evacuation *run, bool refused, const struct error *err)
{
	if (refused || !run->heard_ms || clock_ms() - run->heard_ms > ALONE_MS)
		return false;
	(void)fprintf(stderr, "%s; asking again\n", err->text);
	return true;
}

static bool until_done(struct evacuation *run, struct error *err)
{
	bool done = false, ok = true, refused;

	while (ok && !done) {
		struct http_result result;

		http_result_init(&result, ANSWER_MAX);
		if (ask(run, &result, &refused, err)) {
			run->heard_ms = clock_ms();
			done = result.status == 200;
			if (!done)
				tell(run, &result);
		} else {
			ok = may_wait(run, refused, err);
		}
		http_result_fini(&result);
		if (ok && !done)
			(void)poll(NULL, 0, AGAIN_MS);
	}
	return ok;
}

int evacuate_run(const struct worker_settings *settings, bool undo)
{
	struct evacuation run = { .member = settings_cluster(settings),
		.name = buf_limit(256),
		.path = buf_limit(2048),
		.login = buf_limit(4096),
		.told_held = -1,
		.told_uploads = -1 };
	struct error err;
	bool ok;

	if (!run.member.led) {
		(void)fprintf(stderr,
			"error: CLUSTER_MODE: this worker has no leader that could tell the others. In a "
			"static cluster name it in cluster.leaving (ZOT_CLUSTER_LEAVING) of all "
			"members and restart them: it has gone when its log says move.empty\n");
		return 1;
	}
	self_name(&run.member, (uint16_t)settings->port, &run.name);
	leader_call_login(&run.member, &run.login);
	buf_puts(&run.path, "/api/cluster/members/");
	buf_url(&run.path, buf_str(&run.name), "");
	buf_puts(&run.path, undo ? "/undrain" : "/evacuate");
	http_client_init();
	ok = until_done(&run, &err);
	http_client_fini();
	if (!ok)
		(void)fprintf(stderr, "error: %s\n", err.text);
	else
		(void)printf("%s %s\n", buf_text(&run.name),
			undo ? "owns again" : "is evacuated: it owns nothing, and may be stopped");
	buf_fini(&run.name);
	buf_fini(&run.path);
	buf_fini(&run.login);
	return !ok;
}
