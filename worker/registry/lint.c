/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/lint.h"

#include <string.h>

#include "common/json.h"
#include "worker/storage/store.h"

#define NAMED_MAX 120 /* bytes of missing names in an error */

/* ---- signatures ---- */

static bool is_signature_type(const struct manifest *manifest)
{
	static const char *const types[] = { "application/vnd.cncf.notary.signature",
		"application/vnd.dev.cosign.artifact.sig.v1+json",
		"application/vnd.dev.sigstore.bundle.v0.3+json" };
	const char *type = manifest_referrer_type(manifest);

	for (size_t i = 0; type && i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(type, types[i]))
			return true;
	return false;
}

static bool is_signature_tag(struct str tag)
{
	if (!str_skip(&tag, "sha256-") || tag.len < 64)
		return false;
	for (size_t i = 0; i < 64; i++)
		if (!memchr("0123456789abcdef", tag.at[i], 16))
			return false;
	tag = str_from(tag.at + 64, tag.len - 64);
	return str_is(tag, ".sig") || str_is(tag, ".sbom");
}

static bool is_signature(const struct registry_push *push, const struct manifest *manifest)
{
	if (manifest->has_subject && is_signature_type(manifest))
		return true;
	for (size_t i = 0; i < push->tags_len; i++)
		if (!is_signature_tag(str_of(push->tags[i])))
			return false;
	return push->tags_len > 0;
}

/* ---- what is missing ---- */

static bool has_annotation(const struct manifest *manifest, const char *key)
{
	for (size_t i = 0; i < manifest->annotations_len; i++)
		if (!strcmp(manifest->annotations[i].key, key))
			return true;
	return false;
}

static bool is_missing(const struct manifest *manifest, const struct json *labels, const char *key)
{
	return !has_annotation(manifest, key) && !json_find(labels, key);
}

/* The first ones by name. False: there are none. */
static bool name_missing(const struct registry_options *options, const struct manifest *manifest,
	const struct json *labels, struct buf *into)
{
	size_t more = 0, named = 0;

	for (size_t i = 0; i < options->lint_annotations_len; i++) {
		struct str key = str_of(options->lint_annotations[i]);

		if (!is_missing(manifest, labels, key.at))
			continue;
		if (named && into->len + key.len > NAMED_MAX) {
			more++;
			continue;
		}
		buf_format(into, "%s%.*s", named++ ? ", " : "",
			(int)(key.len < NAMED_MAX ? key.len : NAMED_MAX), key.at);
	}
	if (more)
		buf_format(into, " and %zu more", more);
	return named > 0;
}

/* What cannot be had now is no fault of the image. */
static bool refuse_config(const char *missing, const struct error *why, struct error *err)
{
	if (why->kind != ERROR_UNKNOWN && why->kind != ERROR_INVALID && why->kind != ERROR_TOO_LARGE) {
		*err = *why;
		return error_add(err, "the config, for its labels");
	}
	return error_set(err, ERROR_INVALID, "MANIFEST_INVALID",
		"annotations that are demanded here are missing (%s), and no label of its config can be: %s",
		missing, why->kind == ERROR_UNKNOWN ? "the config is not there" : why->text);
}

static bool read_config(struct registry *registry, const struct registry_push *push,
	const struct manifest *manifest, struct json_doc **ret, struct error *err)
{
	AUTO_FINI(buf) config = buf_limit(LINT_CONFIG_MAX);

	return store_blob_get(registry->store, str_of(push->name), &manifest->config.digest, &config, err) &&
	       (json_parse(buf_str(&config), ret, err) || error_add(err, "the config"));
}

static bool has_all(struct registry *registry, const struct registry_push *push,
	const struct manifest *manifest, struct error *err)
{
	const struct registry_options *options = &registry->options;
	AUTO_FINI(buf) missing = buf_limit(1024);
	AUTO(json_doc) *config = NULL;
	const struct json *labels;
	struct error why;

	if (!options->lint_annotations_len || manifest->kind != MANIFEST_IMAGE ||
		is_signature(push, manifest) || !name_missing(options, manifest, NULL, &missing))
		return true;
	if (manifest->has_config && !read_config(registry, push, manifest, &config, &why))
		return refuse_config(buf_text(&missing), &why, err);
	buf_clear(&missing);
	labels = json_find(json_find(json_root(config), "config"), "Labels");
	return !name_missing(options, manifest, labels, &missing) ||
	       error_set(err, ERROR_INVALID, "MANIFEST_INVALID",
		       "annotations that are demanded here are neither in the manifest nor labels of its "
		       "config: %s",
		       buf_text(&missing));
}

bool lint_allows_push(struct registry *registry, const struct registry_push *push,
	const struct manifest *manifest, struct error *err)
{
	struct error why;

	if (has_all(registry, push, manifest, &why))
		return true;
	if (why.kind == ERROR_INVALID && registry->refused)
		registry->refused(registry->refused_arg, push, manifest->media_type);
	*err = why;
	return false;
}
