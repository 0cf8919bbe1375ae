/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_compare - which rows of a table have other values in two structs.
 */
#include <string.h>

#include "common/settings.h"

#define NODE_MAX (1024u * 1024)

static bool equal_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool equal_list(const struct setting_list *a, const struct setting_list *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++)
		if (!equal_text(a->at[i], b->at[i]))
			return false;
	return true;
}

static void write_node(const struct json *node, struct buf *into)
{
	struct json_writer w = json_writer(into);

	json_value_node(&w, node);
}

/* Two that are too long to be compared count as different. */
static bool equal_node(const struct json *a, const struct json *b)
{
	AUTO_FINI(buf) text_a = buf_limit(NODE_MAX);
	AUTO_FINI(buf) text_b = buf_limit(NODE_MAX);

	if (!a || !b)
		return a == b;
	write_node(a, &text_a);
	write_node(b, &text_b);
	return !text_a.failed && !text_b.failed && str_equal(buf_str(&text_a), buf_str(&text_b));
}

static bool equal_member(enum setting_type type, const void *a, const void *b)
{
	switch (type) {
	case SETTING_TEXT:
	case SETTING_SECRET:
		return equal_text(*(const char *const *)a, *(const char *const *)b);
	case SETTING_NUMBER:
	case SETTING_MS:
	case SETTING_BYTES:
		return *(const int64_t *)a == *(const int64_t *)b;
	case SETTING_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case SETTING_ENUM:
		return *(const int *)a == *(const int *)b;
	case SETTING_LIST:
		return equal_list(a, b);
	case SETTING_NODE:
		return equal_node(*(const struct json *const *)a, *(const struct json *const *)b);
	case SETTING_IGNORED:
	case SETTING_LATER:
		break;
	}
	return true;
}

void settings_compare(const struct settings_table *table, const void *before, const void *after,
	setting_changed_f *changed, void *arg)
{
	for (size_t i = 0; i < table->len; i++) {
		const struct setting *row = &table->rows[i];
		const char *a = (const char *)before + row->offset, *b = (const char *)after + row->offset;

		if (!equal_member(row->type, a, b))
			changed(arg, row);
	}
}
