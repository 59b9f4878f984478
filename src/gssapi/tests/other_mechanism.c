/* A mechanism that always has a credential and always has a token, as an NTLM plug-in would: whoever negotiates with it is downgraded. */
#include <gssapi/gssapi_ext.h>
#include <stdlib.h>
#include <string.h>

static int something;

OM_uint32 gss_acquire_cred_from(OM_uint32 *minor, gss_name_t name, OM_uint32 time, gss_OID_set mechs, gss_cred_usage_t usage,
                                gss_const_key_value_set_t store, gss_cred_id_t *cred, gss_OID_set *actual, OM_uint32 *left) {
    *minor = 0;
    *cred = (gss_cred_id_t)&something;
    if (actual) *actual = NULL;
    if (left) *left = GSS_C_INDEFINITE;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_acquire_cred(OM_uint32 *minor, gss_name_t name, OM_uint32 time, gss_OID_set mechs, gss_cred_usage_t usage,
                           gss_cred_id_t *cred, gss_OID_set *actual, OM_uint32 *left) {
    return gss_acquire_cred_from(minor, name, time, mechs, usage, NULL, cred, actual, left);
}

OM_uint32 gss_release_cred(OM_uint32 *minor, gss_cred_id_t *cred) {
    *minor = 0;
    *cred = NULL;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_inquire_cred(OM_uint32 *minor, gss_cred_id_t cred, gss_name_t *name, OM_uint32 *left, gss_cred_usage_t *usage,
                           gss_OID_set *mechs) {
    *minor = 0;
    if (name) *name = NULL;
    if (left) *left = GSS_C_INDEFINITE;
    if (usage) *usage = GSS_C_BOTH;
    if (mechs) *mechs = NULL;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_import_name(OM_uint32 *minor, gss_buffer_t text, gss_OID kind, gss_name_t *name) {
    *minor = 0;
    *name = (gss_name_t)&something;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_release_name(OM_uint32 *minor, gss_name_t *name) {
    *minor = 0;
    *name = NULL;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_init_sec_context(OM_uint32 *minor, gss_cred_id_t cred, gss_ctx_id_t *context, gss_name_t target, gss_OID mech,
                               OM_uint32 asked, OM_uint32 time, gss_channel_bindings_t bindings, gss_buffer_t in,
                               gss_OID *actual, gss_buffer_t out, OM_uint32 *flags, OM_uint32 *left) {
    *minor = 0;
    *context = (gss_ctx_id_t)&something;
    out->length = 4;
    out->value = strdup("fake");
    if (flags) *flags = asked;
    return GSS_S_CONTINUE_NEEDED;
}

OM_uint32 gss_delete_sec_context(OM_uint32 *minor, gss_ctx_id_t *context, gss_buffer_t out) {
    *minor = 0;
    *context = NULL;
    return GSS_S_COMPLETE;
}
