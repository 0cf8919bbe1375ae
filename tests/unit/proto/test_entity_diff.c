/* SPDX-License-Identifier: Apache-2.0 */
/* entity_diff: what changed, without secrets, bounded. */
#include "proto/entity_diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"

static struct entity *read_entity(enum entity_kind kind, const char *id, const char *json)
{
	AUTO(json_doc) *doc = NULL;
	struct entity *entity;
	struct error err;

	assert_true(json_parse(str_of(json), &doc, &err));
	if (!entity_from_json(kind, str_of(id), json_root(doc), NULL, &entity, &err))
		fail_msg("%s", err.text);
	return entity;
}

static void assert_diff(const struct entity *old, const struct entity *made, const char *wanted)
{
	AUTO_FINI(buf) text = buf_limit(ENTITY_DIFF_MAX);

	entity_diff(old, made, &text);
	assert_string_equal(buf_text(&text), wanted);
}

#define HASH  "$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g."
#define OTHER "$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.h/"

static void what_changed_is_told_and_no_secret(void **state)
{
	(void)state;
	AUTO(entity) *ann =
		read_entity(ENTITY_USER, "ann", "{\"passwordHash\":\"" HASH "\",\"groups\":[\"dev\"]}");
	AUTO(entity) *later = read_entity(ENTITY_USER, "ann",
		"{\"passwordHash\":\"" OTHER "\",\"groups\":[\"dev\"],\"enabled\":false}");
	AUTO(entity) *gone = entity_new_deleted(ENTITY_USER, STR("ann"), 3);

	assert_diff(ann, later,
		"{\"old\":{\"enabled\":true},\"new\":{\"enabled\":false},\"secrets\":[\"passwordHash\"]}");
	assert_diff(ann, ann, "{\"old\":{},\"new\":{}}");
	assert_diff(NULL, ann,
		"{\"old\":null,\"new\":{\"groups\":[\"dev\"],\"roles\":[],\"enabled\":true,"
		"\"throttlingQuota\":0,\"dailyQuota\":0,\"monthlyQuota\":0,\"monthlyBytes\":0,\"metadata\":{}"
		"},"
		"\"secrets\":[\"passwordHash\"]}");
	assert_diff(ann, gone,
		"{\"old\":{\"groups\":[\"dev\"],\"roles\":[],\"enabled\":true,\"throttlingQuota\":0,"
		"\"dailyQuota\":0,\"monthlyQuota\":0,\"monthlyBytes\":0,\"metadata\":{}},\"new\":null,"
		"\"secrets\":[\"passwordHash\"]}");
}

static void long_values_are_named_alone(void **state)
{
	AUTO_FINI(buf) json = buf_limit(1024 * 1024);
	AUTO_FINI(buf) text = buf_limit(ENTITY_DIFF_MAX);

	(void)state;
	buf_puts(&json, "{\"enabled\":false,\"groups\":[");
	for (unsigned i = 0; i < 1000; i++)
		buf_format(&json, "%s\"group-%u\"", i ? "," : "", i);
	buf_puts(&json, "]}");
	AUTO(entity) *user = read_entity(ENTITY_USER, "ann", buf_text(&json));
	entity_diff(NULL, user, &text);
	assert_false(text.failed);
	assert_non_null(strstr(buf_text(&text), "\"enabled\":false"));
	assert_non_null(strstr(buf_text(&text), "\"omitted\":[\"groups\"]"));
	assert_null(strstr(buf_text(&text), "group-7"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changed_is_told_and_no_secret),
		cmocka_unit_test(long_values_are_named_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
