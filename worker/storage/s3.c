/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3 - the driver for buckets: S3's own words for each verb of store_driver.h.
 *
 *     get, get_if_changed   GET, If-None-Match          size    HEAD
 *     put                   PUT with the sha256         remove  s3_remove.c, s3_remove_all.c
 *     put_file              HEAD, PUT or parts          copy    CopyObject or parts
 *     push_..., abandoned   s3_push.c, s3_abandoned.c
 *     reading_..., aside    s3_aside.c
 *     put_if                s3_put_if.c                 list    s3_list.c
 *     log_...               s3_log.c
 *
 * Nothing but final keys is ever written, and S3 verifies each body against its hash: what is in the
 * bucket is whole.
 */
#include <inttypes.h>

#include "common/check.h"
#include "common/clock.h"
#include "proto/digest.h"
#include "s3/s3_xml.h"
#include "worker/storage/s3_priv.h"

#define SINGLE_PUT_MAX (64 * S3_MIB)
#define PART_SIZE      (16 * S3_MIB)
#define COPY_PART_SIZE (512 * S3_MIB)
#define PARALLEL       4
#define ABANDONED_MS   (24 * 60 * 60 * INT64_C(1000))

struct s3_store *s3_store_of(struct store *store)
{
	return (struct s3_store *)OBJ_CAST(store, STORE_MAGIC, store);
}

bool s3_read_etag(const struct http_result *result, struct store_version *ret)
{
	struct str etag = str_of(http_headers_find(result->headers, "ETag"));
	struct store_version version = { .text = "" };

	(void)str_skip(&etag, "W/");
	if (etag.len >= 2 && str_starts(etag, "\"") && str_ends(etag, "\""))
		etag = str_from(etag.at + 1, etag.len - 2);
	if (!etag.len || memchr(etag.at, '"', etag.len) || !str_copy(etag, version.text, sizeof version.text))
		return false;
	version.seen_s = s3_client_date(result);
	*ret = version;
	return true;
}

/* ---- reading ---- */

/* The body of an answer into the caller's buffer, within its limit. */
static bool take_body(struct http_result *result, struct buf *into, const char *key, struct error *err)
{
	size_t max = into->max;

	if (result->body.len > max) {
		(void)error_set(err, ERROR_TOO_LARGE, NULL, "S3 object %s is over %zu bytes", key, max);
		return s3_client_hide(err);
	}
	buf_fini(into);
	*into = result->body;
	into->max = max;
	result->body = buf_limit(0);
	return true;
}

bool s3_says_aside(const struct http_result *result)
{
	return http_headers_find(result->headers, S3_ASIDE) != NULL;
}

bool s3_error_aside(const char *key, struct error *err)
{
	return error_set(err, ERROR_UNKNOWN, NULL, "%s is rotten, and was set aside", key);
}

/* unless NULL: in any case. ret_aside NULL: it is told as it is. */
static enum store_step get(struct s3_store *s3, const char *key, const struct store_version *unless,
	struct buf *into, struct store_version *ret_version, bool *ret_aside, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	struct store_version version;
	char quoted[sizeof unless->text + 2];
	struct s3_call call = {
		.method = "GET",
		.key = key,
		.answer_max = into->max > S3_ANSWER_MAX ? into->max : S3_ANSWER_MAX,
	};

	if (unless) {
		snprintf(quoted, sizeof quoted, "\"%s\"", unless->text);
		call.headers[0] = (struct s3_header){ "If-None-Match", quoted };
	}
	buf_clear(into);
	if (!s3_client_send(&s3->client, &call, &result, err))
		return STORE_FAILED;
	if (result.status == 304 && unless) {
		version = *unless;
		version.seen_s = s3_client_date(&result);
		if (ret_version)
			*ret_version = version;
		return STORE_SAME;
	}
	if (!s3_client_expect_ok(&s3->client, &call, &result, err))
		return STORE_FAILED;
	if (!s3_read_etag(&result, &version)) {
		error_set(err, ERROR_INTERNAL, NULL, "S3 GET %s: answer without a usable ETag", key);
		return STORE_FAILED;
	}
	if (ret_aside)
		*ret_aside = s3_says_aside(&result);
	if (!take_body(&result, into, key, err))
		return STORE_FAILED;
	if (ret_version)
		*ret_version = version;
	return STORE_OK;
}

bool s3_get(struct store *store, const char *key, struct buf *into, struct store_version *ret_version,
	struct error *err)
{
	return get(s3_store_of(store), key, NULL, into, ret_version, NULL, err) == STORE_OK;
}

static bool get_good(struct store *store, const char *key, struct buf *into,
	struct store_version *ret_version, struct error *err)
{
	bool aside = false;

	return get(s3_store_of(store), key, NULL, into, ret_version, &aside, err) == STORE_OK &&
	       (!aside || s3_error_aside(key, err));
}

static enum store_step get_if_changed(struct store *store, const char *key,
	const struct store_version *version, struct buf *into, struct store_version *ret_version,
	struct error *err)
{
	const struct store_version *unless = version && version->text[0] ? version : NULL;

	return get(s3_store_of(store), key, unless, into, ret_version, NULL, err);
}

static bool ask_head(struct s3_store *s3, const char *key, struct http_result *result, uint64_t *ret_size,
	struct error *err)
{
	struct s3_call call = { .method = "HEAD", .key = key };

	if (!s3_client_send(&s3->client, &call, result, err) ||
		!s3_client_expect_ok(&s3->client, &call, result, err))
		return false;
	return str_to_number(
		       str_of(http_headers_find(result->headers, "Content-Length")), INT64_MAX, ret_size) ||
	       error_set(err, ERROR_INTERNAL, NULL, "S3 HEAD %s: answer without length", key);
}

bool s3_head(struct s3_store *s3, const char *key, uint64_t *ret_size, struct store_version *ret_version,
	struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	struct store_version version = { .text = "" };
	uint64_t size;

	if (!ask_head(s3, key, &result, &size, err))
		return false;
	if (ret_version && !s3_read_etag(&result, &version))
		return error_set(err, ERROR_INTERNAL, NULL, "S3 HEAD %s: answer without ETag", key);
	*ret_size = size;
	if (ret_version)
		*ret_version = version;
	return true;
}

static bool size(struct store *store, const char *key, uint64_t *ret_size, struct error *err)
{
	struct s3_store *s3 = s3_store_of(store);
	AUTO_FINI(http_result) result = { 0 };
	uint64_t there;

	if (!ask_head(s3, key, &result, &there, err))
		return false;
	if (s3_is_stand_in(key, there))
		return s3_says_aside(&result) ? s3_error_aside(key, err) : s3_restore(s3, key, ret_size, err);
	*ret_size = there;
	return true;
}

static bool source(struct store *store, const char *key, const struct range *part, struct blob_source *ret,
	struct error *err)
{
	struct s3_store *s3 = s3_store_of(store);
	struct s3_request request;
	char text[64];
	struct s3_call call = { .method = "GET", .key = key };

	if (part) {
		snprintf(text, sizeof text, "bytes=%" PRIu64 "-%" PRIu64, part->first, part->last);
		call.headers[0] = (struct s3_header){ "Range", text };
	}
	if (!s3_client_prepare(&s3->client, &call, &request, err))
		return false;
	*ret = (struct blob_source){ .fd = -1,
		.url = TAKE(request.url),
		.headers = TAKE(request.headers),
		.ca_file = s3->client.ca_file,
		.insecure = s3->client.insecure,
		.with = { request.signed_s, request.signed_ms, request.keys } };
	return true;
}

static void fill_result(const struct store_answer *answer, struct http_result *into)
{
	http_result_init(into, STORE_REFUSAL_MAX);
	into->status = answer->status;
	into->headers = http_headers_new();
	if (answer->date)
		CHECK(http_headers_add(into->headers, STR("Date"), str_of(answer->date)));
	buf_add(&into->body, answer->body);
}

static enum store_again answered(
	struct store *store, const struct store_signed *with, const struct store_answer *answer)
{
	AUTO_FINI(http_result) result = { 0 };
	const struct s3_request request = {
		.signed_s = with->at_s, .signed_ms = with->at_ms, .keys = with->keys
	};
	const struct s3_call call = { .method = "GET" };

	if (answer)
		fill_result(answer, &result);
	switch (s3_client_again(&s3_store_of(store)->client, &call, &request, answer ? &result : NULL)) {
	case S3_AGAIN_NOT:
		break;
	case S3_AGAIN_SOON:
		return STORE_AGAIN_SOON;
	case S3_AGAIN_NOW:
		return STORE_AGAIN_NOW;
	}
	return STORE_AGAIN_NOT;
}

static void silent(struct store *store, const struct store_signed *with, const struct error *why)
{
	struct s3_client *client = &s3_store_of(store)->client;

	s3_client_heard_nothing(client);
	s3_client_was_silent(client, with->at_ms, why);
}

static bool make_link(
	struct store *store, const char *key, unsigned seconds, struct buf *into, struct error *err)
{
	return s3_client_link(&s3_store_of(store)->client, key, seconds, into, err);
}

/* ---- writing ---- */

static bool send_simple(struct s3_store *s3, const struct s3_call *call, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };

	return s3_client_send(&s3->client, call, &result, err) &&
	       s3_client_expect_ok(&s3->client, call, &result, err);
}

static bool put(struct store *store, const char *key, const struct digest *digest, struct str bytes,
	struct error *err)
{
	char hash[65];
	struct s3_call call = { .method = "PUT", .key = key, .body = bytes, .has_body = true };

	if (digest && digest->alg == HASH_SHA256) {
		str_hex(digest->raw, 32, hash);
		call.body_hash = hash;
	}
	return send_simple(s3_store_of(store), &call, err);
}

static bool put_until(struct store *store, const char *key, int64_t until_s, struct error *err)
{
	const struct s3_call call = {
		.method = "PUT", .key = key, .has_body = true, .until_s = until_s, .fresh = true
	};

	return send_simple(s3_store_of(store), &call, err);
}

/* One whose age is not told is old. */
static bool is_old(const struct s3_store *s3, const struct http_result *result)
{
	const char *text = http_headers_find(result->headers, "Last-Modified");
	int64_t changed_s;

	return s3->renew_ms && (!text || !http_date_parse(str_of(text), &changed_s) ||
				       changed_s < s3_clock_now_s(&s3->client.clock) - s3->renew_ms / 1000);
}

bool s3_is_there(
	struct s3_store *s3, const char *key, uint64_t want, bool young, bool *ret_there, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	struct error head;
	uint64_t there = 0;
	bool found = ask_head(s3, key, &result, &there, &head);

	if (!found && head.kind != ERROR_UNKNOWN) {
		if (err)
			*err = head;
		return false;
	}
	*ret_there = found && there == want && !(young && is_old(s3, &result));
	return true;
}

static bool put_whole_file(struct s3_store *s3, const char *key, const struct digest *digest, int fd,
	uint64_t len, struct error *err)
{
	char hash[65];
	struct s3_call call = {
		.method = "PUT",
		.key = key,
		.fd = fd,
		.length = len,
		.has_body = true,
		.body_hash = hash,
		.patient = true,
	};

	if (digest->alg == HASH_SHA256)
		str_hex(digest->raw, 32, hash);
	else if (!s3_hash_file(fd, 0, len, hash, err))
		return false;
	return send_simple(s3, &call, err);
}

static bool put_file(struct store *store, const char *key, const struct digest *digest, int fd,
	const char *path, uint64_t len, struct error *err)
{
	struct s3_store *s3 = s3_store_of(store);
	bool there = false;

	(void)path;
	if (!s3_is_there(s3, key, len, true, &there, err))
		return false;
	if (there)
		return true;
	if (len <= s3->single_put_max)
		return put_whole_file(s3, key, digest, fd, len, err);
	return s3_upload_file(s3, key, fd, len, err);
}

static bool put_new(struct store *store, const char *key, const struct digest *digest, struct str bytes,
	struct error *err)
{
	bool there = false;

	if (!s3_is_there(s3_store_of(store), key, bytes.len, true, &there, err))
		return false;
	return there || put(store, key, digest, bytes, err);
}

void s3_copy_source(const struct s3_store *s3, const char *key, struct buf *into)
{
	buf_format(into, "/%s/", s3->client.endpoint.bucket);
	buf_url(into, str_of(s3->client.endpoint.prefix), "/");
	buf_url(into, str_of(key), "/");
}

/* What was empty has the ETag of nothing, where it is what most stores make it of; else a reader finds it. */
static bool is_empty_copy(const struct http_result *result)
{
	AUTO_FINI(buf) etag = buf_limit(128);

	return s3_xml_find(buf_str(&result->body), "ETag", &etag) &&
	       strstr(buf_text(&etag), "d41d8cd98f00b204e9800998ecf8427e");
}

bool s3_copy_object(struct s3_store *s3, const char *from, const char *to, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	AUTO_FINI(buf) origin = buf_limit(8 * STORE_KEY_MAX);
	uint64_t len = 0;

	/* Below what S3 itself refuses, who set a threshold pays a HEAD to know. */
	if (s3->copy_whole_max < S3_COPY_MAX) {
		if (!s3_head(s3, from, &len, NULL, err))
			return false;
		if (len > s3->copy_whole_max)
			return s3_upload_copy(s3, from, to, len, s3->copy_part_size, err);
	}
	s3_copy_source(s3, from, &origin);
	if (!buf_check(&origin, "source of an S3 copy", err))
		return false;
	struct s3_call call = {
		.method = "PUT",
		.key = to,
		.headers = { { "x-amz-copy-source", buf_text(&origin) } },
		.has_body = true,
		.patient = true,
		.late_error = true,
		.stall_ms = S3_LATE_STALL_MS,
	};
	if (!s3_client_send(&s3->client, &call, &result, err))
		return false;
	/* Over 5 GiB it is an invalid request, and S3 has no code of its own for that. */
	if (result.status == 400 && s3_head(s3, from, &len, NULL, NULL) && len > S3_COPY_MAX)
		return s3_upload_copy(s3, from, to, len, s3->copy_part_size, err);
	if (!s3_client_expect_ok(&s3->client, &call, &result, err))
		return false;
	return !is_empty_copy(&result) || !s3_is_stand_in(to, 0) || size(&s3->store, to, &len, err);
}

static bool copy(
	struct store *store, const char *from, const char *to, const struct digest *digest, struct error *err)
{
	(void)digest;
	return s3_copy_object(s3_store_of(store), from, to, err);
}

/* ---- life ---- */

/* Asked often: one more attempt, not all of them. */
static bool check(struct store *store, struct error *err)
{
	struct s3_call call = { .method = "HEAD", .attempts = 2 };
	struct error head;

	if (send_simple(s3_store_of(store), &call, &head))
		return true;
	if (head.kind == ERROR_UNKNOWN)
		return error_set(err, ERROR_UNAVAILABLE, NULL,
			"%s (see the bucket: there is none of that name)", head.text);
	if (err)
		*err = head;
	return false;
}

static int64_t silent_ms(const struct store *store)
{
	CHECK(store && store->magic == STORE_MAGIC);
	return s3_outage_ms(&((const struct s3_store *)store)->client.outage, clock_ms());
}

static uint64_t requests(const struct store *store)
{
	CHECK(store && store->magic == STORE_MAGIC);
	return atomic_load(&((const struct s3_store *)store)->client.requests);
}

static uint64_t errors(const struct store *store)
{
	CHECK(store && store->magic == STORE_MAGIC);
	return atomic_load(&((const struct s3_store *)store)->client.errors);
}

static int64_t store_now_ms(const struct store *store)
{
	CHECK(store && store->magic == STORE_MAGIC);
	return s3_clock_now_ms(&((const struct s3_store *)store)->client.clock);
}

static void free_store(struct store *store)
{
	struct s3_store *s3;

	if (!store)
		return;
	s3 = s3_store_of(store);
	CHECK(!list_first(&s3->pushes));
	s3_client_fini(&s3->client);
	lock_fini(&s3->stand_in.lock);
	lock_fini(&s3->lock);
	free(store->place);
	store->magic = 0;
	free(s3);
}

static const struct store_driver driver = {
	.free = free_store,
	.get = get_good,
	.get_if_changed = get_if_changed,
	.put_if = s3_put_if,
	.log_get = s3_log_get,
	.log_append = s3_log_append,
	.log_remove = s3_log_remove,
	.size = size,
	.put = put,
	.put_until = put_until,
	.put_file = put_file,
	.put_new = put_new,
	.push_part = s3_push_part,
	.push_begin = s3_push_begin,
	.push_send = s3_push_send,
	.push_finish = s3_push_finish,
	.push_give_up = s3_push_give_up,
	.push_free = s3_push_free,
	.abandoned = s3_abandoned,
	.remove = s3_remove,
	.remove_all = s3_remove_all,
	.clock_ms = store_now_ms,
	.copy = copy,
	.source = source,
	.answered = answered,
	.silent = silent,
	.link = make_link,
	.list = s3_list,
	.objects = s3_objects,
	.folders = s3_folders,
	.usage = s3_usage,
	.dedupe = s3_dedupe,
	.reading_new = s3_reading_new,
	.reading_free = s3_reading_free,
	.reading_next = s3_reading_next,
	.reading_again = s3_reading_again,
	.set_aside = s3_set_aside,
	.aside_trim = s3_aside_trim,
	.check = check,
	.silent_ms = silent_ms,
	.requests = requests,
	.errors = errors,
};

static char *place_of(const struct s3_endpoint *endpoint)
{
	AUTO_FINI(buf) place = buf_limit(4096);

	buf_format(&place, "%s%s", endpoint->origin, endpoint->root);
	if (str_ends(buf_str(&place), "/"))
		place.at[--place.len] = '\0';
	return buf_take(&place, NULL);
}

static uint64_t bounded(uint64_t set, uint64_t otherwise, uint64_t least, uint64_t most)
{
	uint64_t value = set ? set : otherwise;

	return value < least ? least : value > most ? most : value;
}

bool store_s3_open(struct store **ret_store, const struct s3_settings *settings, struct error *err)
{
	struct s3_store *s3 = xnew(struct s3_store);
	struct s3_settings of_blobs = *settings;

	/* What is small and often written has no use for a class that bills for a month. */
	of_blobs.storage_class_below = "/blobs/";
	if (!s3_client_init(&s3->client, &of_blobs, err)) {
		s3_client_fini(&s3->client);
		free(s3);
		return false;
	}
	s3->store = (struct store){
		.magic = STORE_MAGIC, .driver = &driver, .place = place_of(&s3->client.endpoint)
	};
	lock_init(&s3->stand_in.lock);
	s3->single_put_max = bounded(settings->single_put_max, SINGLE_PUT_MAX, 1, S3_PART_MAX);
	s3->part_size = bounded(settings->part_size, PART_SIZE, S3_PART_MIN, S3_PART_MAX);
	s3->parallel = (unsigned)bounded(settings->parallel, PARALLEL, 1, S3_PARALLEL_MAX);
	s3->copy_whole_max = bounded(settings->copy_whole_max, S3_COPY_MAX, 1, S3_COPY_MAX);
	s3->copy_part_size = bounded(settings->copy_part_size, COPY_PART_SIZE, S3_PART_MIN, S3_PART_MAX);
	s3->copy_parallel = (unsigned)bounded(settings->copy_parallel, PARALLEL, 1, S3_PARALLEL_MAX);
	s3->renew_ms = settings->renew_ms;
	s3->abandoned_ms = settings->abandoned_ms ? settings->abandoned_ms : ABANDONED_MS;
	lock_init(&s3->lock);
	list_init(&s3->pushes);
	*ret_store = &s3->store;
	return true;
}
