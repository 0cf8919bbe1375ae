/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_remove_all - up to 1,000 objects by one request (DeleteObjects) that takes effect in time or never.
 *
 *     POST ?delete, signed in its URL with the sum of its body, until until_s - STORE_DELETE_TAIL_S, by the store's clock
 *        2xx      what it names as refused is not gone, all else is; nothing is on its way
 *        else     nothing is known of any. Let in at the last moment, it has the tail to be done in: nothing takes effect behind until_s
 *
 * It is sent once. Where a store does not know it, or takes no such signature, and for buckets in which stand-ins of zot's may rely
 * on what goes (s3_stand_in.c), each goes by itself (s3_remove.c).
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "s3/s3_xml.h"
#include "worker/storage/s3_priv.h"

#define BODY_MAX   (4 * 1024 * 1024)
#define ANSWER_MAX (4 * 1024 * 1024)

struct batch {
	struct s3_store *s3;
	const char *const *keys;
	size_t len;
	bool *gone;
};

static bool write_body(const struct batch *batch, struct buf *into, struct error *err)
{
	buf_puts(into, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
	for (size_t i = 0; i < batch->len; i++) {
		buf_puts(into, "<Object><Key>");
		s3_xml_escape(into, str_of(batch->s3->client.endpoint.prefix));
		s3_xml_escape(into, str_of(batch->keys[i]));
		buf_puts(into, "</Key></Object>");
	}
	buf_puts(into, "</Delete>");
	return buf_check(into, "what is to be deleted", err);
}

/* An error of a key that we did not send is one of all. */
static bool refuse(const struct batch *batch, struct str key)
{
	struct str prefix = str_of(batch->s3->client.endpoint.prefix);

	if (!str_starts(key, prefix.at))
		return false;
	key = str_from(key.at + prefix.len, key.len - prefix.len);
	for (size_t i = 0; i < batch->len; i++) {
		if (!str_is(key, batch->keys[i]))
			continue;
		batch->gone[i] = false;
		return true;
	}
	return false;
}

static bool keep_all(const struct batch *batch)
{
	memset(batch->gone, 0, batch->len * sizeof(*batch->gone));
	return false;
}

static bool read_answer(const struct batch *batch, struct str xml, struct error *err)
{
	struct str rest = xml, error;
	bool all = true;

	if (!s3_xml_is(xml, "DeleteResult"))
		return error_set(err, ERROR_UNAVAILABLE, NULL, "S3 delete: the answer is not one");
	for (size_t i = 0; i < batch->len; i++)
		batch->gone[i] = true;
	while (s3_xml_next_block(&rest, "Error", &error)) {
		AUTO_FINI(buf) key = buf_limit(2 * STORE_KEY_MAX);
		AUTO_FINI(buf) code = buf_limit(128);

		(void)!s3_xml_find(error, "Code", &code);
		if (str_is(buf_str(&code), "NoSuchKey"))
			continue;
		all = error_set(err, ERROR_UNAVAILABLE, NULL, "S3 delete: %s", buf_text(&code));
		if (!s3_xml_find(error, "Key", &key) || !refuse(batch, buf_str(&key)))
			return keep_all(batch);
	}
	return all || s3_client_hide(err);
}

/* *ret_each: this store does not take it, and has done nothing. */
static bool send(const struct batch *batch, int64_t until_s, bool *ret_each, struct error *err)
{
	struct s3_client *client = &batch->s3->client;
	AUTO_FINI(http_result) result = { 0 };
	AUTO_FINI(buf) body = buf_limit(BODY_MAX);
	struct s3_call call = { .method = "POST",
		.query = STR("delete="),
		.until_s = until_s - STORE_DELETE_TAIL_S,
		.answer_max = ANSWER_MAX,
		.fresh = true };

	*ret_each = false;
	if (!write_body(batch, &body, err))
		return false;
	call.body = buf_str(&body);
	if (!s3_client_try(client, &call, &result, err))
		return false;
	if (result.status >= 200 && result.status < 300)
		return read_answer(batch, buf_str(&result.body), err);
	*ret_each = (result.status >= 400 && result.status < 500 && !s3_client_is_transient(&result)) ||
		    result.status == 501;
	(void)s3_client_error(client, &call, &result, err);
	return s3_client_hide(err);
}

static bool remove_each(const struct batch *batch, int64_t until_s, struct error *err)
{
	struct error cause;
	bool all = true;

	for (size_t i = 0; i < batch->len; i++) {
		batch->gone[i] = s3_remove(&batch->s3->store, batch->keys[i], until_s, &cause) ||
				 cause.kind == ERROR_UNKNOWN;
		if (!batch->gone[i] && all)
			*err = cause;
		all = all && batch->gone[i];
	}
	return all;
}

bool s3_remove_all(struct store *store, const char *const *keys, size_t len, int64_t until_s, bool *gone,
	struct error *err)
{
	struct s3_store *s3 = s3_store_of(store);
	const struct batch batch = { s3, keys, len, gone };
	bool each, settled;

	if (!s3_stand_ins_are_settled(s3, &settled, err))
		return false;
	if (!settled || s3->client.v2 || len == 1 || atomic_load(&s3->deletes_singly))
		return remove_each(&batch, until_s, err);
	if (send(&batch, until_s, &each, err))
		return true;
	if (!each || !remove_each(&batch, until_s, err))
		return false;
	atomic_store(&s3->deletes_singly, true);
	return true;
}
