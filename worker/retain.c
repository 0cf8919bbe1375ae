/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/retain.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/pool.h"
#include "proto/name.h"
#include "worker/registry/registry.h"
#include "worker/registry/retention_plan.h"
#include "worker/settings_retention.h"
#include "worker/settings_roots.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

#define CACHE_BYTES (16 * 1024 * 1024)
#define LINE_MAX    4096

/* How many stay, and how many go. */
struct count {
	uint64_t stay, go;
};

struct retaining {
	const struct worker_settings *settings;
	struct registry *registry;
	bool json;
	struct count tags, manifests;
	uint64_t repositories, failed;
	bool written; /* all of it */
};

/* ---- a line ---- */

struct line {
	struct str repository;
	const char *tag; /* NULL: of the manifest */
	const struct digest *digest;
	const struct retention_terms *terms;
	struct retention_verdict verdict;
};

static void put_json(const struct line *line, const char *digest, const char *why, struct buf *into)
{
	struct json_writer w = json_writer(into);

	json_open_object(&w);
	json_put_str(&w, "repository", line->repository);
	json_put_text(&w, "tag", line->tag);
	json_put_text(&w, "digest", digest);
	json_put_bool(&w, "stays", retention_keeps(line->verdict));
	json_put_text(&w, "reason", why);
	json_close_object(&w);
	buf_putc(into, '\n');
}

static void put_text(const struct line *line, const char *digest, const char *why, struct buf *into)
{
	buf_format(into, "%s %.*s", retention_keeps(line->verdict) ? "stays " : "goes  ",
		STR_ARGS(line->repository));
	if (line->tag)
		buf_format(into, ":%s ", line->tag);
	else
		buf_putc(into, '@');
	buf_format(into, "%s%s  %s\n", line->tag ? " " : "", digest, why);
}

static void tell(struct retaining *r, const struct line *line)
{
	AUTO_FINI(buf) text = buf_limit(LINE_MAX);
	AUTO_FINI(buf) why = buf_limit(LINE_MAX);
	char digest[DIGEST_TEXT_SIZE];

	digest_format(line->digest, digest);
	retention_explain(line->terms, line->verdict, &why);
	(r->json ? put_json : put_text)(line, digest, buf_text(&why), &text);
	r->written = !text.failed && fwrite(text.at, 1, text.len, stdout) == text.len && r->written;
}

static void count(struct count *count, struct retention_verdict verdict)
{
	if (retention_keeps(verdict))
		count->stay++;
	else
		count->go++;
}

/* ---- a repository ---- */

static void tell_plan(struct retaining *r, struct str name, const struct retention_plan *plan)
{
	bool *tagged = xnew_array(bool, plan->manifests_len + 1);

	for (size_t i = 0; i < plan->tags_len; i++) {
		const struct retention_tag *tag = &plan->tags[i];

		tagged[tag->manifest] = true;
		count(&r->tags, plan->tag_verdicts[i]);
		tell(r, &(struct line){ name, tag->name, &plan->manifests[tag->manifest].digest, &plan->terms,
				plan->tag_verdicts[i] });
	}
	for (size_t i = 0; i < plan->manifests_len; i++) {
		count(&r->manifests, plan->manifest_verdicts[i]);
		if (!tagged[i])
			tell(r, &(struct line){ name, NULL, &plan->manifests[i].digest, &plan->terms,
					plan->manifest_verdicts[i] });
	}
	free(tagged);
}

static bool retain_one(struct retaining *r, struct str name, struct error *err)
{
	const struct worker_settings *own = settings_of(r->settings, name);
	AUTO(retention) *retention = NULL;
	AUTO(retention_plan) *plan = NULL;
	struct retention_terms terms;

	if (!settings_retention(own, &retention, err))
		return false;
	terms = retention_terms(retention, name, own->gc_delay_ms);
	if (!retention_plan_new(&plan, r->registry, name, &terms, NULL, clock_wall_ms(), err))
		return false;
	tell_plan(r, name, plan);
	r->repositories++;
	return true;
}

/* A crash may leave a name in the catalog before its index. */
static bool on_name(void *arg, struct str name)
{
	struct retaining *r = arg;
	struct error err;

	if (retain_one(r, name, &err) || err.kind == ERROR_UNKNOWN)
		return r->written;
	r->failed++;
	(void)fprintf(stderr, "error: repository %.*s: %s\n", STR_ARGS(name), err.text);
	return true;
}

/* ---- all ---- */

static bool retain_all(struct retaining *r, struct error *err)
{
	if (!store_catalog_each(r->registry->store, on_name, r, err))
		return error_add(err, "catalog of %s", store_place(r->registry->store));
	return r->written || error_set(err, ERROR_INTERNAL, NULL, "standard output takes no more");
}

/* A folder that is not there is not made. */
static bool check_there(const struct worker_settings *s, struct error *err)
{
	struct stat st;

	return s->s3_bucket || stat(s->root, &st) == 0 || error_sys(err, "storage folder %s", s->root);
}

static bool check_roots(const struct worker_settings *s, struct error *err)
{
	bool ok = check_there(s, err);

	for (size_t i = 0; ok && i < s->subs_len; i++)
		ok = check_there(&s->subs[i], err);
	return ok;
}

static bool retain_store(struct retaining *r, struct error *err)
{
	struct registry_settings settings = { .self = "",
		.pulls_every_ms = r->settings->pulls_every_ms,
		.index_cache_bytes = CACHE_BYTES,
		.manifest_cache_bytes = CACHE_BYTES };
	AUTO(store) *store = NULL;
	AUTO(pool) *pool = NULL;
	bool ok;

	if (!check_roots(r->settings, err) || !worker_open_store(r->settings, &store, err) ||
		!pool_new(&pool, 2, 16, err))
		return false;
	settings.store = store;
	settings.pool = pool;
	r->registry = registry_new(&settings);
	ok = retain_all(r, err);
	registry_stop(r->registry);
	pool_free(TAKE(pool));
	registry_free(r->registry);
	return ok;
}

static void put_count(struct json_writer *w, const char *name, struct count count)
{
	json_key(w, str_of(name));
	json_open_object(w);
	json_put_uint(w, "stay", count.stay);
	json_put_uint(w, "go", count.go);
	json_close_object(w);
}

static void tell_sum(const struct retaining *r)
{
	AUTO_FINI(buf) text = buf_limit(LINE_MAX);
	struct json_writer w = json_writer(&text);

	if (!r->json) {
		(void)printf("%" PRIu64 " repositories: %" PRIu64 " tags stay, %" PRIu64 " go; %" PRIu64
			     " manifests stay, %" PRIu64 " go\n",
			r->repositories, r->tags.stay, r->tags.go, r->manifests.stay, r->manifests.go);
		return;
	}
	json_open_object(&w);
	json_put_uint(&w, "repositories", r->repositories);
	put_count(&w, "tags", r->tags);
	put_count(&w, "manifests", r->manifests);
	json_close_object(&w);
	(void)printf("%s\n", buf_text(&text));
}

int retain_run(const struct worker_settings *settings, bool json)
{
	struct retaining r = { .settings = settings, .json = json, .written = true };
	struct error err;
	bool ok;

	log_init(LOG_ERROR, false);
	http_client_init();
	ok = retain_store(&r, &err);
	http_client_fini();
	if (ok && !r.repositories && !r.failed)
		(void)fprintf(stderr, "warning: the catalog is empty; what another tool made is in it after "
				      "zot-worker import\n");
	if (!ok)
		(void)fprintf(stderr, "error: %s\n", err.text);
	else
		tell_sum(&r);
	return !ok || r.failed || fflush(stdout) != 0;
}
