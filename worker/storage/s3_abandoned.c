/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_abandoned - multipart uploads that nobody completes or aborts any more: ListMultipartUploads below our root, page by page.
 *
 * Ended is what is a blob's by its key, was begun abandoned_ms ago by the store's clock, and is not of this process: others end theirs
 * before that (s3_push.c). An abort of what was completed or ended meanwhile does nothing (404).
 */
#include "common/check.h"
#include "common/log.h"
#include "s3/s3_xml.h"
#include "worker/storage/pace.h"
#include "worker/storage/s3_priv.h"
#include "worker/storage/would.h"

#define PAGE_MAX  1000
#define LIST_MAX  (8 * 1024 * 1024)
#define QUERY_MAX (24 * 1024)
#define ID_MAX    (S3_UPLOAD_ID_ENCODED_MAX / 3)

struct walk {
	struct s3_store *s3;
	const struct pace *pace;
	const struct would *dry;
	struct buf key_marker, id_marker; /* behind what was seen */
	int64_t before_s;
	uint64_t ended;
	bool refused; /* an abort was, which is told once */
};

static bool ask_page(struct walk *walk, struct http_result *result, struct error *err)
{
	struct s3_client *client = &walk->s3->client;
	AUTO_FINI(buf) query = buf_limit(QUERY_MAX);

	if (walk->key_marker.len) {
		buf_puts(&query, "key-marker=");
		buf_url(&query, buf_str(&walk->key_marker), "");
		buf_putc(&query, '&');
	}
	buf_format(&query, "max-uploads=%d&prefix=", PAGE_MAX);
	buf_url(&query, str_of(client->endpoint.prefix), "");
	if (walk->id_marker.len) {
		buf_puts(&query, "&upload-id-marker=");
		buf_url(&query, buf_str(&walk->id_marker), "");
	}
	buf_puts(&query, "&uploads=");
	struct s3_call call = { .method = "GET", .query = buf_str(&query), .answer_max = LIST_MAX };
	return buf_check(&query, "query of a list", err) && s3_client_send(client, &call, result, err) &&
	       s3_client_expect_ok(client, &call, result, err);
}

/* "lib/app/blobs/sha256/..." below our root: what a registry pushes, and no other tool. */
static bool is_blob(const struct s3_endpoint *endpoint, struct str key)
{
	struct str prefix = str_of(endpoint->prefix);

	return key.len > prefix.len && !memcmp(key.at, prefix.at, prefix.len) &&
	       memmem(key.at, key.len, "/blobs/sha", 10);
}

static void end_one(struct walk *walk, const char *key, struct str id)
{
	AUTO_FINI(buf) encoded = buf_limit(S3_UPLOAD_ID_ENCODED_MAX);
	struct error err;

	buf_url(&encoded, id, "");
	if (encoded.failed || s3_push_is_under_way(walk->s3, key))
		return;
	if (walk->dry) {
		walk->ended++;
		would_tell(walk->dry, key);
		return;
	}
	if (s3_multipart_abort(&walk->s3->client, key, buf_text(&encoded), &err))
		walk->ended++;
	else if (err.kind != ERROR_UNKNOWN && !walk->refused) {
		walk->refused = true;
		log_warn("s3.abandoned", "key=%s what=%s", log_quote(str_of(key)),
			log_quote(str_of(err.text)));
	}
}

static void see(struct walk *walk, struct str upload)
{
	const struct s3_endpoint *endpoint = &walk->s3->client.endpoint;
	AUTO_FINI(buf) key = buf_limit(2 * STORE_KEY_MAX);
	AUTO_FINI(buf) id = buf_limit(ID_MAX);
	AUTO_FINI(buf) begun = buf_limit(64);
	int64_t begun_s;

	if (s3_xml_find(upload, "Key", &key) && s3_xml_find(upload, "UploadId", &id) && id.len &&
		s3_xml_find(upload, "Initiated", &begun) && s3_clock_parse_iso(buf_text(&begun), &begun_s) &&
		begun_s < walk->before_s && is_blob(endpoint, buf_str(&key)))
		end_one(walk, buf_text(&key) + strlen(endpoint->prefix), buf_str(&id));
}

static bool find_marker(struct str xml, const char *name, struct buf *into)
{
	buf_clear(into);
	return s3_xml_find(xml, name, into);
}

/* *ret_more: there is another page, which begins behind this one. */
static bool read_page(struct walk *walk, struct str xml, bool *ret_more, struct error *err)
{
	AUTO_FINI(buf) truncated = buf_limit(16);
	AUTO_FINI(buf) key = buf_limit(2 * STORE_KEY_MAX);
	AUTO_FINI(buf) id = buf_limit(ID_MAX);
	struct str rest = xml, upload;
	int order;

	if (!s3_xml_is(xml, "ListMultipartUploadsResult"))
		return error_set(err, ERROR_INTERNAL, NULL, "S3 list of uploads: the answer is not one");
	while (s3_xml_next_block(&rest, "Upload", &upload))
		if (pace_go_on(walk->pace))
			see(walk, upload);
	*ret_more = s3_xml_find(xml, "IsTruncated", &truncated) && str_is(buf_str(&truncated), "true") &&
		    pace_go_on(walk->pace);
	if (!*ret_more)
		return true;
	if (!find_marker(xml, "NextKeyMarker", &key) || !key.len ||
		!find_marker(xml, "NextUploadIdMarker", &id))
		return error_set(err, ERROR_INTERNAL, NULL,
			"S3 list of uploads: there is more, and no word of how to go on");
	/* Ids are in no order that all stores agree on. */
	order = str_compare(buf_str(&key), buf_str(&walk->key_marker));
	if (order < 0 || (!order && str_equal(buf_str(&id), buf_str(&walk->id_marker))))
		return error_set(err, ERROR_INTERNAL, NULL, "S3 list of uploads: it comes again");
	buf_clear(&walk->key_marker);
	buf_add(&walk->key_marker, buf_str(&key));
	buf_clear(&walk->id_marker);
	buf_add(&walk->id_marker, buf_str(&id));
	return true;
}

static bool next_page(struct walk *walk, bool *ret_more, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };

	return ask_page(walk, &result, err) && read_page(walk, buf_str(&result.body), ret_more, err);
}

bool s3_abandoned(struct store *store, const struct pace *pace, const struct would *dry, uint64_t *ret_ended,
	struct error *err)
{
	struct s3_store *s3 = s3_store_of(store);
	struct walk walk = { .s3 = s3,
		.pace = pace,
		.dry = dry,
		.key_marker = buf_limit(2 * STORE_KEY_MAX),
		.id_marker = buf_limit(ID_MAX),
		.before_s = s3_clock_now_s(&s3->client.clock) - s3->abandoned_ms / 1000 };
	bool more = true, ok = true;

	for (unsigned page = 0; ok && more && page < PAGE_MAX; page++)
		ok = next_page(&walk, &more, err);
	buf_fini(&walk.key_marker);
	buf_fini(&walk.id_marker);
	*ret_ended = walk.ended;
	return ok;
}
