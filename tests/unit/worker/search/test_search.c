/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_search - images are pushed into a registry on a folder, and are searched for as clients do: the whole way from a request to JSON.
 */
#include "tests/unit/worker/registry/registry_rig.h"

#include <string.h>
#include <sys/stat.h>

#include "common/json.h"
#include "common/latch.h"
#include "proto/digest.h"
#include "worker/search/search.h"

#define IMAGE_CONFIG "application/vnd.oci.image.config.v1+json"
#define IMAGE_LAYER  "application/vnd.oci.image.layer.v1.tar"

struct world {
	struct registry_rig rig;
	struct metadata *md;
	struct search *search;
	char data[80];
	const char *forbidden, *kept, *starred;
	struct buf answer;
	unsigned status;
};

static uint64_t ring_of(void *arg)
{
	(void)arg;
	return 1;
}

static bool owns(void *arg, struct str name)
{
	(void)arg, (void)name;
	return true;
}

static bool may_read(void *arg, struct str name)
{
	const char *forbidden = ((struct world *)arg)->forbidden;

	return !forbidden || !str_is(name, forbidden);
}

static bool may_delete(void *arg, struct str name)
{
	const char *kept = ((struct world *)arg)->kept;

	return !kept || !str_is(name, kept);
}

static bool is_starred(void *arg, struct str name)
{
	const char *starred = ((struct world *)arg)->starred;

	return starred && str_is(name, starred);
}

static uint64_t stars(void *arg, struct str name)
{
	return is_starred(arg, name) ? 3 : 0;
}

static struct digest push(struct world *world, const char *name, const char *tag, const char *os,
	const char *day, const char *const *layers, size_t layers_len)
{
	AUTO_FINI(buf) config = buf_limit(4096);
	AUTO_FINI(buf) bytes = buf_limit(16 * 1024);
	char text[DIGEST_TEXT_SIZE];
	struct digest digest;

	buf_format(&config,
		"{\"os\":\"%s\",\"architecture\":\"amd64\",\"created\":\"2024-01-%sT00:00:00Z\",\"history\":["
		"{\"created_by\":\"ADD\"}]}",
		os, day);
	digest = put_blob(&world->rig, name, buf_str(&config));
	digest_format(&digest, text);
	buf_format(&bytes,
		"{\"schemaVersion\":2,\"mediaType\":\"" IMAGE "\",\"config\":{\"mediaType\":\"" IMAGE_CONFIG
		"\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[",
		text, config.len);
	for (size_t i = 0; i < layers_len; i++) {
		digest = put_blob(&world->rig, name, str_of(layers[i]));
		digest_format(&digest, text);
		buf_format(&bytes, "%s{\"mediaType\":\"" IMAGE_LAYER "\",\"digest\":\"%s\",\"size\":%zu}",
			i ? "," : "", text, strlen(layers[i]));
	}
	buf_puts(&bytes, "],\"annotations\":{\"org.opencontainers.image.vendor\":\"us\"}}");
	return put_manifest(&world->rig, name, tag, buf_str(&bytes));
}

static const char *const layers[] = { "one", "two", "three" };

static int setup(void **state)
{
	struct world *world = xnew(struct world);
	struct metadata_settings settings = { .ring = ring_of, .owns = owns };

	registry_rig_open(&world->rig);
	(void)snprintf(world->data, sizeof(world->data), "%s/.data", world->rig.folder);
	settings.registry = world->rig.registry;
	settings.data = world->data;
	settings.arg = world;
	world->md = metadata_new(&settings);
	world->search = search_new(world->md);
	world->answer = buf_limit(1024 * 1024);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	buf_fini(&world->answer);
	registry_stop(world->rig.registry);
	search_free(world->search);
	metadata_free(world->md);
	pool_free(world->rig.pool);
	registry_free(world->rig.registry);
	spool_free(world->rig.spool);
	store_free(world->rig.store);
	assert_true(remove_tree(world->rig.folder));
	free(world);
	return 0;
}

/* ---- all of a test runs on the pool ---- */

struct job {
	void (*run)(struct world *world);
	struct world *world;
	struct latch done;
};

static void run_job(void *arg)
{
	struct job *job = arg;
	struct metadata_done done;
	struct error err;

	(void)push(job->world, "org/app", "v1", "linux", "02", layers, 2);
	(void)push(job->world, "org/app", "V2", "windows", "05", layers, 3);
	(void)push(job->world, "tool", "v1", "linux", "03", layers, 1);
	assert_true(metadata_work(job->world->md, NULL, &done, &err));
	job->run(job->world);
	latch_open(&job->done);
}

static void in_pool(void **state, void (*run)(struct world *world))
{
	struct job job = { .run = run, .world = *state, .done = LATCH_INIT };

	assert_true(pool_submit(job.world->rig.pool, run_job, &job));
	latch_wait(&job.done);
}

static const char *ask(struct world *world, const char *query)
{
	struct search_ask ask = { .method = HTTP_POST,
		.content_type = "application/graphql",
		.body = str_of(query),
		.who = { .may_read = may_read, .is_starred = is_starred, .stars = stars, .arg = world },
		.may_delete = may_delete };

	buf_clear(&world->answer);
	world->status = search_answer(world->search, &ask, &world->answer);
	return buf_text(&world->answer);
}

static void expect(struct world *world, const char *query, const char *data)
{
	AUTO_FINI(buf) wanted = buf_limit(64 * 1024);
	const char *answer = ask(world, query);

	buf_format(&wanted, "{\"data\":{%s}}", data);
	if (strcmp(answer, buf_text(&wanted)) != 0)
		fail_msg("%s\n     %s\n not %s", query, answer, buf_text(&wanted));
	assert_int_equal(world->status, 200);
}

static void expect_error(struct world *world, const char *query, const char *words)
{
	const char *answer = ask(world, query);

	if (!strstr(answer, "\"errors\":[") || !strstr(answer, words))
		fail_msg("%s\n     %s\n has not %s", query, answer, words);
}

/* ---- tests ---- */

static void finds_repositories(struct world *world)
{
	expect(world,
		"{GlobalSearch(query:\"\"){Page{TotalCount ItemCount} Repos{Name Platforms{Os Arch} Vendors} "
		"Images{Tag} Layers{Size}}}",
		"\"GlobalSearch\":{\"Page\":{\"TotalCount\":2,\"ItemCount\":2},\"Repos\":["
		"{\"Name\":\"org/"
		"app\",\"Platforms\":[{\"Os\":\"linux\",\"Arch\":\"amd64\"},{\"Os\":\"windows\",\"Arch\":"
		"\"amd64\"}],\"Vendors\":[\"us\"]},"
		"{\"Name\":\"tool\",\"Platforms\":[{\"Os\":\"linux\",\"Arch\":\"amd64\"}],\"Vendors\":["
		"\"us\"]}],\"Images\":[],\"Layers\":[]}");
	expect(world,
		"{GlobalSearch(query:\" /ORG/app/ \"){Repos{Name Rank NewestImage{Tag "
		"Vulnerabilities{MaxSeverity Count}} LastUpdated:Name}}}",
		"\"GlobalSearch\":{\"Repos\":[{\"Name\":\"org/"
		"app\",\"Rank\":0,\"NewestImage\":{\"Tag\":\"V2\","
		"\"Vulnerabilities\":{\"MaxSeverity\":\"\",\"Count\":0}},\"LastUpdated\":\"org/app\"}]}");
	/* As zot's page asks: one text where a list is. */
	expect(world,
		"{GlobalSearch(query:\"\",requestedPage:{limit:3 offset:0 sortBy:DOWNLOADS} "
		"filter:{Os:\"windows\" HasToBeSigned:false}){Page{TotalCount} Repos{Name}}}",
		"\"GlobalSearch\":{\"Page\":{\"TotalCount\":1},\"Repos\":[{\"Name\":\"org/app\"}]}");
	expect(world, "{GlobalSearch(query:\"\",filter:{Os:[\"\"]}){Page{TotalCount}}}",
		"\"GlobalSearch\":{\"Page\":{\"TotalCount\":2}}");
	expect(world, "{GlobalSearch(query:\"\",filter:{Os:\" LINUX \",Arch:\"arm\"}){Page{TotalCount}}}",
		"\"GlobalSearch\":{\"Page\":{\"TotalCount\":0}}");
	expect(world, "{RepoListWithNewestImage(requestedPage:{sortBy:ALPHABETIC_DSC}){Results{Name}}}",
		"\"RepoListWithNewestImage\":{\"Results\":[{\"Name\":\"tool\"},{\"Name\":\"org/app\"}]}");
}

static void finds_images(struct world *world)
{
	expect(world,
		"{GlobalSearch(query:\"org/app:v\"){Page{TotalCount} Images{RepoName Tag} Repos{Name}}}",
		"\"GlobalSearch\":{\"Page\":{\"TotalCount\":1},\"Images\":[{\"RepoName\":\"org/"
		"app\",\"Tag\":\"v1\"}],\"Repos\":null}");
	expect(world,
		"{GlobalSearch(query:\":v\",requestedPage:{sortBy:UPDATE_TIME}){Images{RepoName Tag "
		"LastUpdated}}}",
		"\"GlobalSearch\":{\"Images\":[{\"RepoName\":\"org/"
		"app\",\"Tag\":\"V2\",\"LastUpdated\":\"2024-01-05T00:00:00.000Z\"},"
		"{\"RepoName\":\"tool\",\"Tag\":\"v1\",\"LastUpdated\":\"2024-01-03T00:00:00.000Z\"},"
		"{\"RepoName\":\"org/app\",\"Tag\":\"v1\",\"LastUpdated\":\"2024-01-02T00:00:00.000Z\"}]}");
	/* sha256 of "two" */
	expect(world, "{GlobalSearch(query:\"sha256:3fc4ccfe\"){Images{RepoName Tag}}}",
		"\"GlobalSearch\":{\"Images\":[{\"RepoName\":\"org/app\",\"Tag\":\"V2\"},{\"RepoName\":\"org/"
		"app\",\"Tag\":\"v1\"}]}");
	expect(world,
		"{ImageListForDigest(id:\"3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3\")"
		"{Page{TotalCount}}}",
		"\"ImageListForDigest\":{\"Page\":{\"TotalCount\":2}}");
	expect(world,
		"{all:ImageList(repo:\"\"){Page{TotalCount}} one:ImageList(repo:\"tool\"){Results{Tag Size "
		"IsSigned IsDeletable Manifests{Layers{Size}}}}}",
		"\"all\":{\"Page\":{\"TotalCount\":3}},\"one\":{\"Results\":[{\"Tag\":\"v1\",\"Size\":"
		"\"555\",\"IsSigned\":false,"
		"\"IsDeletable\":null,\"Manifests\":[{\"Layers\":[{\"Size\":\"3\"}]}]}]}");
	expect_error(world, "{GlobalSearch(query:\"a:b:c\"){Page{TotalCount}}}", "the query is no name");
	expect_error(world, "{GlobalSearch(query:\"a@b\"){Page{TotalCount}}}", "the query is no name");
}

static void tells_one(struct world *world)
{
	world->kept = "tool";
	expect(world,
		"{Image(image:\"tool:v1\"){RepoName Tag Vendor IsDeletable PushedBy Referrers{Size} "
		"Manifests{Platform{Os} History{Layer{Size} HistoryDescription{CreatedBy EmptyLayer}}}}}",
		"\"Image\":{\"RepoName\":\"tool\",\"Tag\":\"v1\",\"Vendor\":\"us\",\"IsDeletable\":null,"
		"\"PushedBy\":\"\",\"Referrers\":[],\"Manifests\":["
		"{\"Platform\":{\"Os\":\"linux\"},\"History\":[{\"Layer\":{\"Size\":\"3\"},"
		"\"HistoryDescription\":{\"CreatedBy\":\"ADD\",\"EmptyLayer\":false}}]}]}");
	expect(world,
		"{ExpandedRepoInfo(repo:\"tool\"){Summary{Name NewestImage{Tag}} Images{Tag IsDeletable}}}",
		"\"ExpandedRepoInfo\":{\"Summary\":{\"Name\":\"tool\",\"NewestImage\":{\"Tag\":\"v1\"}},"
		"\"Images\":[{\"Tag\":\"v1\",\"IsDeletable\":false}]}");
	expect(world, "{ExpandedRepoInfo(repo:\"org/app\"){Images{Tag IsDeletable}}}",
		"\"ExpandedRepoInfo\":{\"Images\":[{\"Tag\":\"V2\",\"IsDeletable\":true},{\"Tag\":\"v1\","
		"\"IsDeletable\":true}]}");
	expect_error(world, "{Image(image:\"tool\"){Tag}}", "no reference provided");
	expect_error(world, "{Image(image:\"tool:nix\"){Tag}}", "\"path\":[\"Image\"]");
	expect_error(world, "{Referrers(repo:\"tool\",digest:\"x\"){Size}}", "digest");
}

static void compares_layers(struct world *world)
{
	expect(world,
		"{DerivedImageList(image:\"org/app:v1\"){Results{RepoName Tag}} "
		"BaseImageList(image:\"org/app:v1\"){Results{RepoName Tag}}}",
		"\"DerivedImageList\":{\"Results\":[{\"RepoName\":\"org/app\",\"Tag\":\"V2\"}]},"
		"\"BaseImageList\":{\"Results\":[{\"RepoName\":\"tool\",\"Tag\":\"v1\"}]}");
	expect(world, "{DerivedImageList(image:\"tool:v1\",digest:\"sha256:0\"){Page{TotalCount}}}",
		"\"DerivedImageList\":{\"Page\":{\"TotalCount\":0}}");
	expect_error(
		world, "{BaseImageList(image:\"nix:v1\"){Page{TotalCount}}}", "\"path\":[\"BaseImageList\"]");
}

static void pages(struct world *world)
{
	expect(world,
		"{ImageList(repo:\"\",requestedPage:{limit:1,offset:1}){Page{TotalCount ItemCount} "
		"Results{RepoName Tag}}}",
		"\"ImageList\":{\"Page\":{\"TotalCount\":3,\"ItemCount\":1},\"Results\":[{\"RepoName\":\"org/"
		"app\",\"Tag\":\"v1\"}]}");
	expect(world,
		"{ImageList(repo:\"\",requestedPage:{offset:1}){Page{TotalCount ItemCount} Results{Tag}}}",
		"\"ImageList\":{\"Page\":{\"TotalCount\":3,\"ItemCount\":0},\"Results\":[]}");
	expect(world, "{ImageList(repo:\"\",requestedPage:{limit:9,offset:9}){Page{TotalCount ItemCount}}}",
		"\"ImageList\":{\"Page\":{\"TotalCount\":3,\"ItemCount\":0}}");
	expect_error(
		world, "{ImageList(repo:\"\",requestedPage:{limit:-1}){Page{TotalCount}}}", "limit is -1");
	expect_error(world, "{ImageList(repo:\"\",requestedPage:{sortBy:STARS}){Page{TotalCount}}}",
		"sorting by STARS is not supported");
	expect_error(world, "{ImageList(repo:\"\",requestedPage:{sortBy:SEVERITY}){Page{TotalCount}}}",
		"sorting by SEVERITY is not supported");
}

static void hides_what_may_not_be_read(struct world *world)
{
	world->forbidden = "tool";
	expect(world, "{GlobalSearch(query:\"\"){Page{TotalCount} Repos{Name}}}",
		"\"GlobalSearch\":{\"Page\":{\"TotalCount\":1},\"Repos\":[{\"Name\":\"org/app\"}]}");
	expect(world, "{GlobalSearch(query:\"tool:v\"){Page{TotalCount}}}",
		"\"GlobalSearch\":{\"Page\":{\"TotalCount\":0}}");
	expect(world, "{ImageList(repo:\"tool\"){Page{TotalCount}}}",
		"\"ImageList\":{\"Page\":{\"TotalCount\":0}}");
	expect(world, "{BaseImageList(image:\"org/app:v1\"){Page{TotalCount}}}",
		"\"BaseImageList\":{\"Page\":{\"TotalCount\":0}}");
	expect(world,
		"{Referrers(repo:\"tool\",digest:\"sha256:"
		"3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3\"){Size}}",
		"\"Referrers\":[]");
	/* The same words as for what is not there. */
	for (unsigned i = 0; i < 2; i++) {
		AUTO_FINI(buf) forbidden = buf_limit(4096);

		buf_puts(&forbidden, ask(world, i ? "{ExpandedRepoInfo(repo:\"tool\"){Images{Tag}}}"
						  : "{Image(image:\"tool:v1\"){Tag}}"));
		assert_non_null(strstr(buf_text(&forbidden), "\"errors\""));
		(void)ask(world, i ? "{ExpandedRepoInfo(repo:\"nixx\"){Images{Tag}}}"
				   : "{Image(image:\"nixx:v1\"){Tag}}");
		for (char *at; (at = strstr(forbidden.at, "tool"));)
			memcpy(at, "nixx", 4);
		assert_string_equal(buf_text(&forbidden), buf_text(&world->answer));
	}
}

static void knows_stars(struct world *world)
{
	world->starred = "tool";
	expect(world,
		"{StarredRepos{Results{Name IsStarred IsBookmarked StarCount}} "
		"BookmarkedRepos{Page{TotalCount}}}",
		"\"StarredRepos\":{\"Results\":[{\"Name\":\"tool\",\"IsStarred\":true,\"IsBookmarked\":false,"
		"\"StarCount\":3}"
		"]},\"BookmarkedRepos\":{\"Page\":{\"TotalCount\":0}}");
	expect(world, "{GlobalSearch(query:\"\",filter:{IsStarred:true}){Repos{Name}}}",
		"\"GlobalSearch\":{\"Repos\":[{\"Name\":\"tool\"}]}");
}

static void refuses(struct world *world)
{
	AUTO_FINI(buf) query = buf_limit(64 * 1024);
	struct search_ask wrong = { .method = HTTP_GET };

	expect_error(world, "{CVEListForImage(image:\"tool:v1\"){Tag}}", "cve search is disabled");
	expect_error(world, "{ImageListWithCVEFixed(id:\"x\",image:\"tool\"){Results{Tag}}}",
		"cve search is disabled");
	expect_error(world, "{Nix}", "Query has no field");
	assert_int_equal(world->status, 422);
	buf_clear(&world->answer);
	assert_int_equal(search_answer(world->search, &wrong, &world->answer), 400);
	assert_non_null(strstr(buf_text(&world->answer), "the parameter query is missing"));
	buf_puts(&query, "{");
	for (unsigned i = 0; i <= SEARCH_QUESTIONS_MAX; i++)
		buf_format(&query, "a%u:ImageList(repo:\"\"){Page{TotalCount}}", i);
	buf_puts(&query, "}");
	expect_error(world, buf_text(&query), "one query asks 20 questions at most");
}

#define TEST(name)                                                                                           \
	static void test_##name(void **state)                                                                \
	{                                                                                                    \
		in_pool(state, name);                                                                        \
	}
TEST(finds_repositories)
TEST(finds_images)
TEST(tells_one)
TEST(compares_layers)
TEST(pages)
TEST(hides_what_may_not_be_read)
TEST(knows_stars)
TEST(refuses)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_finds_repositories, setup, teardown),
		cmocka_unit_test_setup_teardown(test_finds_images, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tells_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compares_layers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hides_what_may_not_be_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_knows_stars, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
	};

	return cmocka_run_group_tests_name("search", tests, NULL, NULL);
}
