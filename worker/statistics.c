/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/statistics.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/log.h"
#include "common/pool.h"
#include "proto/name.h"
#include "worker/index/index.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

#define CACHE_BYTES (16 * 1024 * 1024)
#define LINE_MAX    (16u * 1024)

static void put_time(struct json_writer *w, const char *key, int64_t ms)
{
	char text[CLOCK_RFC3339_SIZE];

	if (!ms)
		return;
	clock_rfc3339(ms, text);
	json_put_text(w, key, text);
}

/* tag NULL: of the manifest. */
static void print(const char *tag, const struct digest *digest, const struct index_stats *stats)
{
	AUTO_FINI(buf) line = buf_limit(LINE_MAX);
	struct json_writer w = json_writer(&line);
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	json_open_object(&w);
	json_put_text(&w, "tag", tag);
	json_put_text(&w, "digest", text);
	put_time(&w, "pushed", stats->pushed_ms);
	if (*stats->pushed_by)
		json_put_text(&w, "by", stats->pushed_by);
	json_put_uint(&w, "pulls", stats->pulls);
	put_time(&w, "pulled", stats->pulled_ms);
	json_close_object(&w);
	(void)puts(buf_text(&line));
}

static void print_all(const struct index *index)
{
	struct index_stats stats;

	for (size_t i = 0; i < index_tags_len(index); i++) {
		const char *tag = index_tag_at(index, i);

		if (index_tag_stats(index, str_of(tag), &stats))
			print(tag, &index_find_tag(index, str_of(tag))->descriptor.digest, &stats);
	}
	for (size_t i = 0; i < index_len(index); i++) {
		const struct digest *digest = &index_at(index, i)->descriptor.digest;

		if (index_digest_stats(index, digest, &stats))
			print(NULL, digest, &stats);
	}
}

static bool print_repository(
	const struct worker_settings *settings, const struct name *name, struct error *err)
{
	AUTO(store) *store = NULL;
	AUTO(pool) *pool = NULL;
	AUTO(indexes) *indexes = NULL;
	AUTO(index) *index = NULL;

	if (!worker_open_store(settings, &store, err) || !pool_new(&pool, 2, 16, err))
		return false;
	indexes = indexes_new(store, pool, NULL, NULL, CACHE_BYTES);
	if (!indexes_get(indexes, name_str(name), &index, err))
		return false;
	print_all(index);
	return true;
}

int statistics_run(const struct worker_settings *settings, const char *repository)
{
	struct name name;
	struct error err;
	bool ok;

	if (!repository) {
		log_error("statistics", "error=\"--repository NAME is missing\"");
		return 2;
	}
	if (!name_parse(str_of(repository), &name, &err)) {
		log_error("statistics", "repository=%s error=%s", log_quote(str_of(repository)),
			log_quote(str_of(err.text)));
		return 2;
	}
	http_client_init();
	ok = print_repository(settings, &name, &err);
	http_client_fini();
	if (!ok)
		log_error("statistics", "repository=%s error=%s", name.text, log_quote(str_of(err.text)));
	return !ok;
}
