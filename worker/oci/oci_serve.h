/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_serve - from a route to the functions that serve it.
 *
 *   _inline  on the loop, from memory; NULL: memory does not have it, ask the job
 *   _job     on the pool
 *   _stream  on the loop; owns the request's body and reply from here on
 */
#pragma once

struct front_call;
struct http_response;
struct oci_ask;
struct oci_job;

/* Own loop. Replies now or later. */
void oci_serve(struct front_call *call);

struct http_response *oci_version_inline(const struct oci_ask *ask);
struct http_response *oci_discover_inline(const struct oci_ask *ask);
struct http_response *oci_discover_of_inline(const struct oci_ask *ask);
void oci_discover_of_job(struct oci_job *job);
void oci_catalog_job(struct oci_job *job);
struct http_response *oci_manifest_get_inline(const struct oci_ask *ask);
void oci_manifest_get_job(struct oci_job *job);
void oci_manifest_put_job(struct oci_job *job);
void oci_manifest_delete_job(struct oci_job *job);
struct http_response *oci_tags_inline(const struct oci_ask *ask);
void oci_tags_job(struct oci_job *job);
struct http_response *oci_referrers_inline(const struct oci_ask *ask);
void oci_referrers_job(struct oci_job *job);
void oci_blob_get_stream(struct front_call *call);
void oci_blob_delete_job(struct oci_job *job);
void oci_upload_start_stream(struct front_call *call);
struct http_response *oci_upload_status_inline(const struct oci_ask *ask);
void oci_upload_patch_stream(struct front_call *call);
void oci_upload_put_stream(struct front_call *call);
struct http_response *oci_upload_cancel_inline(const struct oci_ask *ask);
