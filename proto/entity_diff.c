/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/entity_diff.h"

#include "proto/entity_priv.h"

/* Both values of a member, and all values of all members; the names are few and short. */
#define MEMBER_MAX 2048
#define VALUES_MAX 6144

struct diff {
	const void *old, *made; /* bodies, or NULL */
	struct buf olds, news, secrets, omitted;
};

static void diff_fini(struct diff *diff)
{
	buf_fini(&diff->olds);
	buf_fini(&diff->news);
	buf_fini(&diff->secrets);
	buf_fini(&diff->omitted);
}

static void put_name(struct buf *list, const char *name)
{
	buf_format(list, "%s\"%s\"", list->len ? "," : "", name);
}

static void put_value(struct buf *object, const char *name, const struct buf *value)
{
	buf_format(object, "%s\"%s\":", object->len ? "," : "", name);
	buf_add(object, buf_str(value));
}

static void render(const struct field *field, const void *body, struct buf *into)
{
	struct json_writer w = json_writer(into);

	if (body)
		entity_write_field(field, body, &w);
}

static bool is_same(const struct buf *a, const struct buf *b)
{
	return !a->failed && !b->failed && str_equal(buf_str(a), buf_str(b));
}

static bool has_room(const struct diff *diff, const struct buf *old, const struct buf *made)
{
	return !old->failed && !made->failed && old->len + made->len <= MEMBER_MAX &&
	       diff->olds.len + diff->news.len + old->len + made->len <= VALUES_MAX;
}

static void put_values(
	struct diff *diff, const struct field *field, const struct buf *old, const struct buf *made)
{
	if (!has_room(diff, old, made)) {
		put_name(&diff->omitted, field->name);
		return;
	}
	if (diff->old)
		put_value(&diff->olds, field->name, old);
	if (diff->made)
		put_value(&diff->news, field->name, made);
}

static bool is_empty(const struct buf *value)
{
	struct str s = buf_str(value);

	return !s.len || str_is(s, "\"\"") || str_is(s, "0");
}

static void put_member(struct diff *diff, const struct field *field)
{
	AUTO_FINI(buf) old = buf_limit(ENTITY_BYTES_MAX);
	AUTO_FINI(buf) made = buf_limit(ENTITY_BYTES_MAX);

	render(field, diff->old, &old);
	render(field, diff->made, &made);
	if (is_same(&old, &made))
		return;
	if (!(field->flags & FIELD_WRITE_ONLY))
		put_values(diff, field, &old, &made);
	else if (!is_empty(&old) || !is_empty(&made))
		put_name(&diff->secrets, field->name);
}

static void put_side(struct buf *into, const char *name, const void *body, const struct buf *members)
{
	if (body)
		buf_format(into, "\"%s\":{%s}", name, buf_text(members));
	else
		buf_format(into, "\"%s\":null", name);
}

static void put_list(struct buf *into, const char *name, const struct buf *names)
{
	if (names->len)
		buf_format(into, ",\"%s\":[%s]", name, buf_text(names));
}

static void put_all(const struct diff *diff, struct buf *into)
{
	buf_putc(into, '{');
	put_side(into, "old", diff->old, &diff->olds);
	buf_putc(into, ',');
	put_side(into, "new", diff->made, &diff->news);
	put_list(into, "secrets", &diff->secrets);
	put_list(into, "omitted", &diff->omitted);
	buf_putc(into, '}');
}

void entity_diff(const struct entity *old, const struct entity *made, struct buf *into)
{
	const struct table *table = entity_table(entity_kind(made ? made : old));
	__attribute__((cleanup(diff_fini))) struct diff diff = { .old = old ? entity_body(old) : NULL,
		.made = made ? entity_body(made) : NULL,
		.olds = buf_limit(ENTITY_DIFF_MAX),
		.news = buf_limit(ENTITY_DIFF_MAX),
		.secrets = buf_limit(ENTITY_DIFF_MAX),
		.omitted = buf_limit(ENTITY_DIFF_MAX) };

	for (size_t i = 0; i < table->len; i++)
		if (!field_is_plain(&table->fields[i]))
			put_member(&diff, &table->fields[i]);
	put_all(&diff, into);
}
