/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_search_others - two members with a registry each, of which one is asked by a client: what the other one tells is in the answer, once, in order,
 * and what it does not tell is said.
 */
#include "tests/unit/worker/search/search_rig.h"

#include "worker/search/search_others.h"
#include "worker/search/search_wire.h"

static const char *const layers[] = { "one", "two", "three" };

struct pair {
	struct world *at[2];
	struct ring *ring;
	struct search_others *others;
	char *mine[3], *theirs[3]; /* names, by owner */
	const char *fault;         /* of the other one: NULL, or what it does */
	unsigned rounds;
	bool isolated;
};

/* Names are looked for until each of the two owns enough. */
static void find_names(struct pair *pair)
{
	size_t mine = 0, theirs = 0;

	for (unsigned n = 0; mine < 3 || theirs < 3; n++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "app-%02u", n);
		if (ring_owner(pair->ring, str_of(name)) == 0) {
			if (mine < 3)
				pair->mine[mine++] = check_strdup(name);
		} else if (theirs < 3) {
			pair->theirs[theirs++] = check_strdup(name);
		}
	}
}

static void derive(struct world *world)
{
	struct metadata_done done;
	struct error err;

	metadata_walk(world->md);
	assert_true(metadata_work(world->md, NULL, &done, &err));
}

static int setup(void **state)
{
	static const uint8_t key[16] = "0123456789abcde";
	const struct ring_member members[] = { { "here", "http://10.0.0.1:1", true, NULL },
		{ "there", "http://10.0.0.2:1", true, NULL } };
	struct pair *pair = xnew(struct pair);
	struct error err;

	assert_true(ring_new(&pair->ring, 1, RING_SLOTS_RENDEZVOUS, key, members, 2, &err));
	find_names(pair);
	for (int i = 0; i < 2; i++) {
		pair->at[i] = world_new();
		pair->at[i]->ring = pair->ring;
		pair->at[i]->place = i;
	}
	for (size_t n = 0; n < 3; n++) {
		(void)push(pair->at[0], pair->mine[n], "v1", "linux", n ? "03" : "09", layers, 1 + n % 3);
		(void)push(pair->at[1], pair->theirs[n], "v1", "linux", n ? "04" : "08", layers, 1 + n % 3);
	}
	derive(pair->at[0]);
	derive(pair->at[1]);
	*state = pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *pair = *state;

	for (int i = 0; i < 2; i++)
		world_free(pair->at[i]);
	for (size_t i = 0; i < 3; i++) {
		free(pair->mine[i]);
		free(pair->theirs[i]);
	}
	search_others_free(pair->others);
	ring_free(pair->ring);
	free(pair);
	return 0;
}

static struct metadata_who who_of(struct world *world)
{
	return (struct metadata_who){
		.may_read = may_read, .is_starred = is_starred, .stars = stars, .arg = world
	};
}

static bool is_fault(const struct pair *pair, const char *fault)
{
	return pair->fault && !strcmp(pair->fault, fault);
}

static void ask_the_other(struct pair *pair, struct world *other)
{
	AUTO_FINI(buf) question = buf_limit(SEARCH_ASK_MAX);
	AUTO_FINI(buf) answer = buf_limit(1024 * 1024);
	struct metadata_who who = who_of(other);
	struct error err;
	uint64_t mark = is_fault(pair, "ring") ? 2 : 1;
	size_t len;
	char *bytes;

	assert_false(search_others_ask(pair->others, 0, &question));
	if (!search_others_ask(pair->others, 1, &question))
		return;
	assert_true(search_others_answer_max(pair->others, 1) > 0);
	if (is_fault(pair, "silent") || !search_part(other->search, buf_str(&question), &who,
						pair->isolated ? 0 : mark, &answer, &err)) {
		search_others_miss(pair->others, 1);
		return;
	}
	if (is_fault(pair, "short"))
		answer.len /= 2;
	if (is_fault(pair, "garbage"))
		memset(answer.at + 4, 0xff, answer.len - 4);
	if (is_fault(pair, "version"))
		answer.at[0]++;
	bytes = buf_take(&answer, &len);
	(void)search_others_answer(pair->others, 1, bytes, len, &err);
}

static const char *ask(struct pair *pair, const char *query)
{
	struct world *world = pair->at[0];
	const struct search_cluster cluster = {
		.ring = pair->ring, .self = 0, .isolated = pair->isolated, .mark = 1
	};
	struct search_ask asked = { .method = HTTP_POST,
		.content_type = "application/graphql",
		.body = str_of(query),
		.who = who_of(world) };

	search_others_free(pair->others);
	asked.others = pair->others = search_others_new(&cluster);
	buf_clear(&world->answer);
	for (pair->rounds = 0;
		(world->status = search_answer(world->search, &asked, &world->answer)) == SEARCH_ASKS;
		pair->rounds++) {
		assert_int_equal(world->answer.len, 0);
		assert_true(pair->rounds < 3);
		ask_the_other(pair, pair->at[1]);
		search_others_end(pair->others);
	}
	return buf_text(&world->answer);
}

static void expect(struct pair *pair, const char *query, const char *data)
{
	const char *answer = ask(pair, query);

	if (strcmp(answer, data) != 0)
		fail_msg("%s\n     %s\n not %s", query, answer, data);
}

/* Each name, in its place of the order. */
static char *listed(char *const *names, size_t len)
{
	AUTO_FINI(buf) b = buf_limit(4096);
	size_t ignored;

	for (size_t i = 0; i < len; i++)
		buf_format(&b, "%s{\"Name\":\"%s\"}", i ? "," : "", names[i]);
	return buf_take(&b, &ignored);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void expect_names(struct pair *pair, const char *query, size_t total, char *const *names, size_t len)
{
	AUTO_FINI(buf) data = buf_limit(8192);
	AUTO_STR *list = listed(names, len);

	buf_format(&data,
		"{\"data\":{\"GlobalSearch\":{\"Page\":{\"TotalCount\":%zu,\"ItemCount\":%zu},\"Repos\":[%s]}"
		"}}",
		total, len, list);
	expect(pair, query, buf_text(&data));
}

#define REPOS "{Page{TotalCount ItemCount} Repos{Name}}}"

static void test_all_are_one_list(void **state)
{
	struct pair *pair = *state;
	char *names[6], data[160];

	memcpy(names, pair->mine, sizeof(pair->mine));
	memcpy(names + 3, pair->theirs, sizeof(pair->theirs));
	qsort(names, 6, sizeof(*names), by_name);
	expect_names(pair, "{GlobalSearch(query:\"\")" REPOS, 6, names, 6);
	assert_int_equal(pair->rounds, 1);
	for (size_t offset = 0; offset <= 7; offset++) {
		char query[160];

		(void)snprintf(query, sizeof(query),
			"{GlobalSearch(query:\"\",requestedPage:{limit:2 offset:%zu "
			"sortBy:ALPHABETIC_ASC})" REPOS,
			offset);
		expect_names(pair, query, 6, names + (offset < 6 ? offset : 6),
			offset < 5    ? 2
			: offset == 5 ? 1
				      : 0);
	}
	(void)snprintf(data, sizeof(data),
		"{\"data\":{\"ImageList\":{\"Results\":[{\"RepoName\":\"%s\"},{\"RepoName\":\"%s\"}]}}}",
		pair->mine[0], pair->theirs[0]);
	expect(pair, "{ImageList(repo:\"\",requestedPage:{limit:2 sortBy:UPDATE_TIME}){Results{RepoName}}}",
		data);
}

static void test_one_repository_is_its_owners(void **state)
{
	struct pair *pair = *state;
	char query[200], wanted[200];

	(void)snprintf(query, sizeof(query), "{Image(image:\"%s:v1\"){RepoName Manifests{Layers{Size}}}}",
		pair->theirs[1]);
	(void)snprintf(wanted, sizeof(wanted),
		"{\"data\":{\"Image\":{\"RepoName\":\"%s\",\"Manifests\":[{\"Layers\":[{\"Size\":\"3\"},{"
		"\"Size\":\"3\"}]}]}}}",
		pair->theirs[1]);
	expect(pair, query, wanted);
	assert_int_equal(pair->rounds, 1);
	(void)snprintf(query, sizeof(query), "{Image(image:\"%s:v1\"){Tag}}", pair->mine[0]);
	expect(pair, query, "{\"data\":{\"Image\":{\"Tag\":\"v1\"}}}");
	assert_int_equal(pair->rounds, 0); /* nobody else was asked */
	(void)snprintf(query, sizeof(query), "{Image(image:\"%s:none\"){Tag}}", pair->theirs[0]);
	assert_non_null(strstr(ask(pair, query), "there is no such image"));
	(void)snprintf(query, sizeof(query), "{ExpandedRepoInfo(repo:\"%s\"){Images{Tag} Summary{Name}}}",
		pair->theirs[0]);
	(void)snprintf(wanted, sizeof(wanted),
		"{\"data\":{\"ExpandedRepoInfo\":{\"Images\":[{\"Tag\":\"v1\"}],\"Summary\":{\"Name\":\"%s\"}"
		"}}}",
		pair->theirs[0]);
	expect(pair, query, wanted);
}

/* The layers of their image are asked for first, then everybody's images are compared with them. */
static void test_layers_of_others(void **state)
{
	struct pair *pair = *state;
	char query[200];

	(void)snprintf(query, sizeof(query), "{DerivedImageList(image:\"%s:v1\"){Page{TotalCount}}}",
		pair->theirs[0]);
	expect(pair, query, "{\"data\":{\"DerivedImageList\":{\"Page\":{\"TotalCount\":4}}}}");
	assert_int_equal(pair->rounds, 2);
	(void)snprintf(
		query, sizeof(query), "{BaseImageList(image:\"%s:v1\"){Page{TotalCount}}}", pair->mine[2]);
	expect(pair, query, "{\"data\":{\"BaseImageList\":{\"Page\":{\"TotalCount\":4}}}}");
	assert_int_equal(pair->rounds, 1);
}

static void test_many_questions_are_one_round(void **state)
{
	struct pair *pair = *state;

	expect(pair,
		"{a:ImageList(repo:\"\"){Page{TotalCount}} b:ImageList(repo:\"\"){Page{TotalCount}} "
		"c:ImageList(repo:\"\",requestedPage:{limit:1}){Page{TotalCount ItemCount}}}",
		"{\"data\":{\"a\":{\"Page\":{\"TotalCount\":6}},\"b\":{\"Page\":{\"TotalCount\":6}},"
		"\"c\":{\"Page\":{\"TotalCount\":6,\"ItemCount\":1}}}}");
	assert_int_equal(pair->rounds, 1);
}

static void test_who_is_missing_is_named(void **state)
{
	static const char *const faults[] = { "silent", "ring", "short", "garbage", "version" };
	struct pair *pair = *state;
	char query[160];

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		pair->fault = faults[i];
		expect(pair, "{ImageList(repo:\"\"){Page{TotalCount}}}",
			"{\"data\":{\"ImageList\":{\"Page\":{\"TotalCount\":3}}},\"errors\":[{\"message\":"
			"\"repositories of "
			"there are missing: there is no "
			"answer\",\"locations\":[{\"line\":1,\"column\":2}],\"path\":[\"ImageList\"],"
			"\"extensions\":{\"members\":[\"there\"]}}]}");
		(void)snprintf(query, sizeof(query), "{Image(image:\"%s:v1\"){Tag}}", pair->theirs[0]);
		assert_non_null(strstr(ask(pair, query), "does not answer: there"));
		(void)snprintf(query, sizeof(query), "{Image(image:\"%s:v1\"){Tag}}", pair->mine[0]);
		expect(pair, query, "{\"data\":{\"Image\":{\"Tag\":\"v1\"}}}");
	}
}

/* What is forbidden here, or there, is in no list and in no total, and cannot be told from what is not there. */
static void test_rights_of_both(void **state)
{
	struct pair *pair = *state;
	char query[160];

	for (int i = 0; i < 2; i++) {
		AUTO_FINI(buf) forbidden = buf_limit(4096);

		pair->at[i]->forbidden = pair->theirs[1];
		expect(pair,
			"{ImageList(repo:\"\"){Page{TotalCount}} RepoListWithNewestImage{Page{TotalCount}}}",
			"{\"data\":{\"ImageList\":{\"Page\":{\"TotalCount\":5}},\"RepoListWithNewestImage\":{"
			"\"Page\":{\"TotalCount\":5}}}}");
		assert_null(strstr(ask(pair, "{GlobalSearch(query:\"\"){Repos{Name}}}"), pair->theirs[1]));
		(void)snprintf(query, sizeof(query), "{Image(image:\"%s:v1\"){Tag}}", pair->theirs[1]);
		buf_puts(&forbidden, ask(pair, query));
		(void)snprintf(query, sizeof(query), "{Image(image:\"%s:v1\"){Tag}}", "app-xx");
		assert_string_equal(buf_text(&forbidden), ask(pair, query));
		pair->at[i]->forbidden = NULL;
	}
}

/* Where storage is isolated two may tell of one while it moves, and its owner may not have it yet. */
static void test_one_that_moves(void **state)
{
	struct pair *pair = *state;
	char query[160], wanted[160];

	pair->isolated = true;
	pair->at[0]->ring = pair->at[1]->ring = NULL; /* each tells what it holds */
	(void)push(pair->at[0], pair->theirs[0], "old", "linux", "02", layers, 1);
	derive(pair->at[0]);
	derive(pair->at[1]);
	(void)snprintf(query, sizeof(query),
		"{GlobalSearch(query:\"%s\"){Page{TotalCount} Repos{Name NewestImage{Tag}}}}",
		pair->theirs[0]);
	(void)snprintf(wanted, sizeof(wanted),
		"{\"data\":{\"GlobalSearch\":{\"Page\":{\"TotalCount\":1},\"Repos\":[{\"Name\":\"%s\","
		"\"NewestImage\":{\"Tag\":\"v1\"}}]}}}",
		pair->theirs[0]);
	expect(pair, query, wanted);
	/* Their repository, which lies here still. */
	(void)push(pair->at[0], "zz-moves", "v1", "linux", "02", layers, 1);
	(void)push(pair->at[1], "zz-comes", "v1", "linux", "02", layers, 1);
	derive(pair->at[0]);
	derive(pair->at[1]);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(
			query, sizeof(query), "{Image(image:\"%s:v1\"){Tag}}", i ? "zz-comes" : "zz-moves");
		expect(pair, query, "{\"data\":{\"Image\":{\"Tag\":\"v1\"}}}");
	}
}

/* Who has not walked through all that it owns says so. */
static void test_who_is_behind_is_named(void **state)
{
	struct pair *pair = *state;
	struct world *fresh = world_new();

	fresh->ring = pair->ring;
	fresh->place = 1;
	world_free(pair->at[1]);
	pair->at[1] = fresh;
	assert_non_null(strstr(ask(pair, "{ImageList(repo:\"\"){Page{TotalCount}}}"),
		"repositories of there may be missing: not all of them have been read yet"));
	derive(fresh);
	expect(pair, "{ImageList(repo:\"\"){Page{TotalCount}}}",
		"{\"data\":{\"ImageList\":{\"Page\":{\"TotalCount\":3}}}}");
}

/* n items from the item `from` on of what is between the brackets. */
static struct str items(struct str list, size_t from, size_t n)
{
	const char *at = list.at, *end = list.at + list.len, *first = end;

	for (size_t i = 0; at && i < from + n; i++) {
		if (i == from)
			first = at;
		at = memmem(at + 1, (size_t)(end - at - 1), "{\"RepoName\"", 11);
	}
	return str_from(first, (size_t)((at ? at - 1 : end) - first));
}

#define TAGS 90

static void push_tags(struct world *world, const char *name, const char *day)
{
	AUTO_FINI(buf) bytes = buf_limit(16 * 1024);
	char tags[TAGS][8];
	const char *list[TAGS];
	struct registry_push push = {
		.name = name, .tags = list, .tags_len = TAGS, .may_create = true, .may_update = true
	};
	struct error err;

	for (unsigned i = 0; i < TAGS; i++) {
		(void)snprintf(tags[i], sizeof(tags[i]), "t%03u", i);
		list[i] = tags[i];
	}
	make_image(world, name, "linux", day, layers, 1, &bytes);
	push.bytes = buf_str(&bytes);
	if (!registry_put_wait(world->rig.registry, &push, &err))
		fail_msg("%s", err.text);
}

/* What is far behind is told without what is before it, and is the same. */
static void test_pages_far_behind(void **state)
{
	static const char *const sorts[] = { "ALPHABETIC_ASC", "ALPHABETIC_DSC", "UPDATE_TIME" };
	struct pair *pair = *state;

	for (unsigned i = 0; i < 3; i++) {
		push_tags(pair->at[0], pair->mine[i], i ? "05" : "06");
		push_tags(pair->at[1], pair->theirs[i], i ? "06" : "07");
	}
	derive(pair->at[0]);
	derive(pair->at[1]);
	for (size_t i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++) {
		AUTO_FINI(buf) all = buf_limit(1024 * 1024);
		char query[200];
		struct str list;

		(void)snprintf(query, sizeof(query),
			"{ImageList(repo:\"\",requestedPage:{sortBy:%s}){Results{RepoName Tag Digest}}}",
			sorts[i]);
		buf_puts(&all, ask(pair, query));
		list = str_from(
			strchr(all.at, '[') + 1, (size_t)(strrchr(all.at, ']') - strchr(all.at, '[') - 1));
		for (size_t offset = 33; offset <= 547; offset += offset == 45 ? 454 : 6) {
			AUTO_FINI(buf) wanted = buf_limit(64 * 1024);
			size_t n = offset > 546 ? 0 : offset + 7 > 546 ? 546 - offset : 7;

			(void)snprintf(query, sizeof(query),
				"{ImageList(repo:\"\",requestedPage:{limit:7 offset:%zu "
				"sortBy:%s}){Results{RepoName Tag Digest} "
				"Page{TotalCount ItemCount}}}",
				offset, sorts[i]);
			buf_puts(&wanted, "{\"data\":{\"ImageList\":{\"Results\":[");
			if (n)
				buf_add(&wanted, items(list, offset, n));
			buf_format(&wanted, "],\"Page\":{\"TotalCount\":546,\"ItemCount\":%zu}}}}", n);
			expect(pair, query, buf_text(&wanted));
			assert_true(pair->rounds == 1 || (offset >= 40 && pair->rounds == 2));
		}
	}
	/* Repositories by name: a round for the keys, and no other, since there are not so many. */
	expect(pair,
		"{GlobalSearch(query:\"\",requestedPage:{limit:7 offset:600}){Page{TotalCount ItemCount} "
		"Repos{Name}}}",
		"{\"data\":{\"GlobalSearch\":{\"Page\":{\"TotalCount\":6,\"ItemCount\":0},\"Repos\":[]}}}");
	assert_int_equal(pair->rounds, 1);
}

static void test_a_question_of_another_version(void **state)
{
	struct pair *pair = *state;
	AUTO_FINI(buf) into = buf_limit(4096);
	struct metadata_who who = who_of(pair->at[1]);
	struct error err;

	assert_false(search_part(pair->at[1]->search, STR("\2\1\1\0"), &who, 1, &into, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	assert_false(search_part(pair->at[1]->search, STR("\1\5\1\0"), &who, 1, &into, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(all_are_one_list), TEST(one_repository_is_its_owners),
		TEST(layers_of_others), TEST(many_questions_are_one_round), TEST(who_is_missing_is_named),
		TEST(rights_of_both), TEST(one_that_moves), TEST(pages_far_behind),
		TEST(who_is_behind_is_named), TEST(a_question_of_another_version) };

	return cmocka_run_group_tests_name("search_others", tests, NULL, NULL);
}
