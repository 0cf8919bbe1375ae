/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/moves/move_record.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/json.h"
#include "worker/storage/store.h"

#define FORMAT    1
#define BYTES_MAX (512u * 1024)

static const char *const names[] = {
	[MOVE_TAKING] = "taking", [MOVE_MOVING] = "moving", [MOVE_GIVEN] = "given"
};

void move_record_free(struct move_record *record)
{
	if (!record)
		return;
	free(record->gone);
	free(record);
}

struct move_record *move_record_dup(const struct move_record *record)
{
	struct move_record *made = xnew(struct move_record);

	*made = *record;
	made->gone = xnew_array(struct digest, record->gone_len + 1);
	if (record->gone_len)
		memcpy(made->gone, record->gone, record->gone_len * sizeof(*record->gone));
	return made;
}

bool move_record_add_from(struct move_record *record, const char *member)
{
	for (size_t i = 0; i < record->from_len; i++)
		if (!strcmp(record->from[i], member))
			return true;
	if (record->from_len == MOVE_SOURCES_MAX ||
		!str_copy(str_of(member), record->from[record->from_len], sizeof(record->from[0])))
		return false;
	record->from_len++;
	return true;
}

bool move_record_is_gone(const struct move_record *record, const struct digest *digest)
{
	for (size_t i = 0; i < record->gone_len; i++)
		if (digest_equal(&record->gone[i], digest))
			return true;
	return false;
}

bool move_record_add_gone(struct move_record *record, const struct digest *digest, struct error *err)
{
	struct digest *grown;

	if (move_record_is_gone(record, digest))
		return true;
	if (record->gone_len == MOVE_GONE_MAX)
		return error_set(err, ERROR_BUSY, NULL,
			"%d blobs were deleted while this repository comes from another worker; more when it "
			"is here",
			MOVE_GONE_MAX);
	grown = xnew_array(struct digest, record->gone_len + 1);
	if (record->gone_len)
		memcpy(grown, record->gone, record->gone_len * sizeof(*grown));
	grown[record->gone_len++] = *digest;
	free(record->gone);
	record->gone = grown;
	return true;
}

/* Text. */

static bool read_state(struct str text, enum move_state *ret)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_is(text, names[i])) {
			*ret = (enum move_state)i;
			return true;
		}
	}
	return false;
}

static bool read_from(const struct json *list, struct move_record *into)
{
	for (size_t i = 0; i < json_len(list); i++) {
		AUTO_STR *member = str_dup(json_str(json_at(list, i)));

		if (!*member || !move_record_add_from(into, member))
			return false;
	}
	return true;
}

static bool read_gone(const struct json *list, struct move_record *into)
{
	struct digest digest;

	for (size_t i = 0; i < json_len(list); i++)
		if (!digest_parse(json_str(json_at(list, i)), &digest, NULL) ||
			!move_record_add_gone(into, &digest, NULL))
			return false;
	return true;
}

static bool read_body(const struct json *root, struct move_record *into)
{
	const struct json *taken = json_find(root, "taken"), *done = json_find(root, "done"),
			  *frozen = json_find(root, "frozen");

	return read_state(json_str(json_find(root, "state")), &into->state) &&
	       str_copy(json_str(json_find(root, "to")), into->to, sizeof(into->to)) &&
	       read_from(json_find(root, "from"), into) && read_gone(json_find(root, "gone"), into) &&
	       (!taken || json_get_bool(taken, &into->taken)) &&
	       (!frozen || json_get_int(frozen, &into->frozen)) &&
	       (!done || json_get_int(done, &into->done_s)) && (into->state != MOVE_GIVEN || *into->to);
}

bool move_record_parse(struct str text, struct move_record **ret, struct error *err)
{
	AUTO(move_record) *made = xnew(struct move_record);
	AUTO(json_doc) *doc = NULL;
	int64_t format = 0;

	if (!json_parse(text, &doc, err))
		return false;
	if (!json_get_int(json_find(json_root(doc), "format"), &format) || format != FORMAT)
		return error_set(err, ERROR_INTERNAL, NULL, "it has format %lld, this zot-worker knows %d",
			(long long)format, FORMAT);
	if (!read_body(json_root(doc), made))
		return error_set(err, ERROR_INTERNAL, NULL, "it is damaged");
	*ret = TAKE(made);
	return true;
}

void move_record_format(const struct move_record *record, struct buf *into)
{
	struct json_writer w = json_writer(into);
	char text[DIGEST_TEXT_SIZE];

	json_open_object(&w);
	json_put_int(&w, "format", FORMAT);
	json_put_text(&w, "state", names[record->state]);
	if (*record->to)
		json_put_text(&w, "to", record->to);
	json_key(&w, STR("from"));
	json_open_array(&w);
	for (size_t i = 0; i < record->from_len; i++)
		json_value_str(&w, str_of(record->from[i]));
	json_close_array(&w);
	json_key(&w, STR("gone"));
	json_open_array(&w);
	for (size_t i = 0; i < record->gone_len; i++) {
		digest_format(&record->gone[i], text);
		json_value_str(&w, str_of(text));
	}
	json_close_array(&w);
	if (record->frozen)
		json_put_int(&w, "frozen", record->frozen);
	json_put_bool(&w, "taken", record->taken);
	if (record->done_s)
		json_put_int(&w, "done", record->done_s);
	json_close_object(&w);
}

/* Notes. */

bool move_record_read(struct store *store, struct str name, struct move_record **ret, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(BYTES_MAX);

	return (store_note_get(store, name, &text, err) && move_record_parse(buf_str(&text), ret, err)) ||
	       error_add(err, "the note about the move of %.*s", STR_ARGS(name));
}

bool move_record_write(
	struct store *store, struct str name, const struct move_record *record, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(BYTES_MAX);

	move_record_format(record, &text);
	return buf_check(&text, "the note about a move", err) &&
	       store_note_put(store, name, buf_str(&text), err);
}
