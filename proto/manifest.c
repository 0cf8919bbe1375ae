/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest - the media type says which of two shapes the body must have; then each link is a descriptor.
 */
#include "proto/manifest.h"

#include "common/check.h"

static const struct form {
	const char *media_type;
	enum manifest_kind kind;
	bool docker;
} forms[] = {
	{ "application/vnd.oci.image.manifest.v1+json", MANIFEST_IMAGE, false },
	{ "application/vnd.oci.image.index.v1+json", MANIFEST_INDEX, false },
	{ "application/vnd.docker.distribution.manifest.v2+json", MANIFEST_IMAGE, true },
	{ "application/vnd.docker.distribution.manifest.list.v2+json", MANIFEST_INDEX, true },
};
#define FORMS (sizeof(forms) / sizeof(forms[0]))

static const char *const nondistributable[] = {
	"application/vnd.oci.image.layer.nondistributable.v1.tar",
	"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
	"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
	"application/vnd.docker.image.rootfs.foreign.diff.tar",
	"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
};

static bool invalid(struct error *err, const char *why)
{
	return error_set(err, ERROR_INVALID, "MANIFEST_INVALID", "%s", why);
}

/* The media type by itself: no parameters, no blanks. */
static struct str bare(struct str media_type)
{
	struct str head;

	if (str_until(&media_type, ';', &head))
		media_type = head;
	return str_trim(media_type);
}

static const struct form *form_find(struct str media_type, bool docker2s2)
{
	media_type = bare(media_type);
	for (size_t i = 0; i < FORMS; i++) {
		if (str_is_nocase(media_type, forms[i].media_type) && (docker2s2 || !forms[i].docker))
			return &forms[i];
	}
	return NULL;
}

bool media_type_is_manifest(struct str media_type, bool docker2s2)
{
	return form_find(media_type, docker2s2) != NULL;
}

bool media_type_is_nondistributable(struct str media_type)
{
	for (size_t i = 0; i < sizeof(nondistributable) / sizeof(nondistributable[0]); i++) {
		if (str_is_nocase(media_type, nondistributable[i]))
			return true;
	}
	return false;
}

static bool unsupported(bool docker2s2, struct error *err)
{
	return invalid(err,
		docker2s2
			? "the media type is not one of: application/vnd.oci.image.{manifest,index}.v1+json, "
			  "application/vnd.docker.distribution.{manifest,manifest.list}.v2+json"
			: "the media type is not one of: application/vnd.oci.image.manifest.v1+json, "
			  "application/vnd.oci.image.index.v1+json");
}

static bool is_absent(const struct json *node)
{
	return json_kind(node) == JSON_NONE || json_kind(node) == JSON_NULL;
}

/* What the header and the body say, and that they agree. */
static const struct form *form_of(
	const struct json *root, struct str content_type, bool docker2s2, struct error *err)
{
	const struct form *form = form_find(content_type, docker2s2);
	struct str inside = STR_NONE;
	const struct json *member = json_find(root, "mediaType");
	bool given = bare(content_type).len > 0;

	if (given && !form)
		return unsupported(docker2s2, err), NULL;
	if (!is_absent(member) && !json_get_str(member, &inside))
		return invalid(err, "mediaType is not a text"), NULL;
	if (!given) {
		form = form_find(inside, docker2s2);
		return form ? form : (unsupported(docker2s2, err), NULL);
	}
	if (inside.len && !str_is_nocase(inside, form->media_type))
		return invalid(err, "the Content-Type and the mediaType of the body are not the same"), NULL;
	return form;
}

/* One list of descriptors. `*ret_len` counts those that are filled in, on failure too. */
static bool parse_list(const struct json *root, const char *member, struct descriptor **ret, size_t *ret_len,
	struct error *err)
{
	const struct json *list = json_find(root, member);

	if (is_absent(list))
		return true;
	if (json_kind(list) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID, "MANIFEST_INVALID", "%s is not a list", member);
	if (json_len(list) > MANIFEST_DESCRIPTORS_MAX)
		return error_set(err, ERROR_INVALID, "MANIFEST_INVALID", "%s has more than %d descriptors",
			member, MANIFEST_DESCRIPTORS_MAX);
	if (json_len(list) == 0)
		return true;
	*ret = xnew_array(struct descriptor, json_len(list));
	for (size_t i = 0; i < json_len(list); i++) {
		if (!descriptor_parse(json_at(list, i), &(*ret)[i], err))
			return error_add(err, "%s[%zu]", member, i);
		*ret_len = i + 1;
	}
	return true;
}

static bool parse_image(const struct json *root, struct manifest *into, struct error *err)
{
	if (!is_absent(json_find(root, "manifests")))
		return invalid(err, "an image has no member \"manifests\"");
	if (!descriptor_parse(json_find(root, "config"), &into->config, err))
		return error_add(err, "config");
	into->has_config = true;
	return parse_list(root, "layers", &into->layers, &into->layers_len, err);
}

static bool parse_index(const struct json *root, struct manifest *into, struct error *err)
{
	if (!is_absent(json_find(root, "config")) || !is_absent(json_find(root, "layers")))
		return invalid(err, "an index has no members \"config\" and \"layers\"");
	return parse_list(root, "manifests", &into->manifests, &into->manifests_len, err);
}

static bool parse_rest(const struct json *root, struct manifest *into, struct error *err)
{
	const struct json *subject = json_find(root, "subject");

	if (!is_absent(subject)) {
		if (!descriptor_parse(subject, &into->subject, err))
			return error_add(err, "subject");
		into->has_subject = true;
	}
	return media_type_parse(root, "artifactType", &into->artifact_type, err) &&
	       annotations_parse(
		       json_find(root, "annotations"), &into->annotations, &into->annotations_len, err);
}

static bool parse_root(const struct json *root, struct str content_type, bool docker2s2,
	struct manifest *into, struct error *err)
{
	const struct form *form;
	int64_t version;

	if (json_kind(root) != JSON_OBJECT)
		return invalid(err, "a manifest is a JSON object");
	form = form_of(root, content_type, docker2s2, err);
	if (!form)
		return false;
	if (!json_get_int(json_find(root, "schemaVersion"), &version) || version != 2)
		return invalid(err, "schemaVersion is not 2");
	into->kind = form->kind;
	into->media_type = check_strdup(form->media_type);
	return (form->kind == MANIFEST_IMAGE ? parse_image : parse_index)(root, into, err) &&
	       parse_rest(root, into, err);
}

/* Where others have the memory it is not the manifest's fault. */
static bool not_read(const struct error *cause, struct error *err)
{
	return error_set(err, cause->kind, cause->kind == ERROR_BUSY ? NULL : "MANIFEST_INVALID", "%s%s",
		cause->kind == ERROR_INVALID ? "the manifest is not JSON: " : "the manifest: ", cause->text);
}

bool manifest_parse(
	struct str body, struct str content_type, bool docker2s2, struct manifest *ret, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	struct manifest manifest = { 0 };
	struct error cause;

	if (body.len > MANIFEST_MAX)
		return error_set(err, ERROR_TOO_LARGE, "MANIFEST_INVALID", "a manifest has at most 4 MiB");
	if (bare(content_type).len && !form_find(content_type, docker2s2))
		return unsupported(docker2s2, err);
	if (!json_parse(body, &doc, &cause))
		return not_read(&cause, err);
	if (!parse_root(json_root(doc), content_type, docker2s2, &manifest, err)) {
		manifest_fini(&manifest);
		return false;
	}
	*ret = manifest;
	return true;
}

static void free_list(struct descriptor *list, size_t len)
{
	for (size_t i = 0; i < len; i++)
		descriptor_fini(&list[i]);
	free(list);
}

void manifest_fini(struct manifest *manifest)
{
	free(manifest->media_type);
	free(manifest->artifact_type);
	descriptor_fini(&manifest->config);
	descriptor_fini(&manifest->subject);
	free_list(manifest->layers, manifest->layers_len);
	free_list(manifest->manifests, manifest->manifests_len);
	annotations_free(manifest->annotations, manifest->annotations_len);
	*manifest = (struct manifest){ 0 };
}

const char *manifest_referrer_type(const struct manifest *manifest)
{
	if (manifest->artifact_type)
		return manifest->artifact_type;
	return manifest->has_config ? manifest->config.media_type : NULL;
}
