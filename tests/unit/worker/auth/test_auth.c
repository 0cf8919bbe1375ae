/* SPDX-License-Identifier: Apache-2.0 */
/* auth's parts that need no request: htpasswd, identities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "common/file.h"
#include "common/password.h"
#include "tests/unit/remove_tree.h"
#include "worker/auth/htpasswd.h"
#include "worker/auth/identity.h"

static char folder[64], path[96];

static int start(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/zot-auth-XXXXXX", 21);
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/htpasswd", folder);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return remove_tree(folder) ? 0 : -1;
}

static void write_file(const char *text)
{
	assert_true(file_write_durable(path, str_of(text), 0600, NULL));
}

static const char expensive[] = "$2y$12$CwTycUXWue0Thq9StjUM0uZoY1cT1ubejGT6IK5mYMfwPxXhCdS96";

static void users_are_found_and_a_changed_file_is_read_again(void **state)
{
	AUTO(htpasswd) *htpasswd = NULL;
	char hash[PASSWORD_HASH_MAX], line[2 * PASSWORD_HASH_MAX + 64];
	struct error err;

	(void)state;
	assert_true(password_hash(STR("open sesame"), hash, &err));
	(void)snprintf(line, sizeof(line), "# people\n\nali:%s\n", hash);
	write_file(line);
	assert_true(htpasswd_open(&htpasswd, path, &err));
	AUTO_STR *found = htpasswd_find(htpasswd, STR("ali"));
	assert_non_null(found);
	assert_true(password_verify(STR("open sesame"), str_of(found), 4));
	assert_false(password_verify(STR("open barley"), str_of(found), 4));
	assert_null(htpasswd_find(htpasswd, STR("baba")));
	assert_int_equal(htpasswd_cost(htpasswd), PASSWORD_COST);
	(void)snprintf(line, sizeof(line), "baba:%s\ncassim:%s\n", hash, expensive);
	write_file(line);
	AUTO_STR *later = NULL;
	for (int i = 0; i < 100 && !later; i++) { /* it looks at most once a second */
		later = htpasswd_find(htpasswd, STR("baba"));
		if (!later)
			(void)usleep(50000);
	}
	assert_non_null(later);
	assert_null(htpasswd_find(htpasswd, STR("ali")));
	assert_int_equal(htpasswd_cost(htpasswd), 12);
}

static void a_wrong_line_is_named(void **state)
{
	static const char *const wrong[] = { "nobody\n", "ann:{SHA}abc=\n", "ann:$apr1$abc$def\n", ":x\n" };
	struct htpasswd *htpasswd;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		write_file(wrong[i]);
		assert_false(htpasswd_open(&htpasswd, path, &err));
		assert_non_null(strstr(err.text, "line 1"));
	}
}

static void an_identity_has_its_users_groups_and_role(void **state)
{
	const char *groups[] = { "ops" }, *roles[] = { "admin" };
	struct user body = {
		.password_hash = "", .groups = { groups, 1 }, .roles = { roles, 1 }, .enabled = true
	};
	AUTO(entity) *user = entity_new(ENTITY_USER, STR("ann"), 7, &body);
	AUTO(identity) *identity = identity_new_user(STR("ann"), user, NULL);

	(void)state;
	assert_string_equal(identity->user, "ann");
	assert_string_equal(identity->apikey, "");
	assert_true(identity->admin);
	assert_int_equal(identity->groups.len, 1);
	assert_false(identity->anonymous || identity->peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			users_are_found_and_a_changed_file_is_read_again, start, stop),
		cmocka_unit_test_setup_teardown(a_wrong_line_is_named, start, stop),
		cmocka_unit_test(an_identity_has_its_users_groups_and_role),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
