#include "service/service_schemas.h"

#define STRING "{\"type\":\"string\"}"
#define INTEGER "{\"type\":\"integer\"}"
#define BOOLEAN "{\"type\":\"boolean\"}"
#define LIST(name, of) \
    "{\"type\":\"object\",\"required\":[\"" name "\",\"next\"],\"properties\":{\"" name "\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/" of \
    "\"}},\"next\":{\"type\":[\"string\",\"null\"]}}}"

const clo_gateway_schema clo_service_schemas[] = {
    {"Binary", "{\"type\":\"string\",\"format\":\"binary\"}"},
    {"Text", STRING},
    {"Info", "{\"type\":\"object\",\"required\":[\"name\",\"url\",\"spki\",\"audience\",\"version\",\"log\",\"tee\"],\"properties\":{\"name\":" STRING ",\"url\":" STRING
             ",\"spki\":" STRING ",\"audience\":" STRING ",\"version\":" STRING ",\"log\":{\"type\":\"object\"},\"tee\":{\"type\":\"object\"}}}"},
    {"Status", "{\"type\":\"object\",\"required\":[\"status\",\"tee_technology\",\"attestation_status\",\"available_models\",\"system_metrics\"],\"properties\":{"
               "\"status\":{\"enum\":[\"operational\",\"degraded\",\"maintenance\"]},\"tee_technology\":{\"enum\":[\"SGX\",\"TDX\",\"SEV-SNP\",\"NITRO\",\"TPM\",\"SIM\"]},"
               "\"attestation_status\":{\"enum\":[\"verified\",\"pending\",\"failed\"]},\"available_models\":{\"type\":\"array\"},\"system_metrics\":{\"type\":\"object\","
               "\"properties\":{\"available_memory\":" STRING ",\"cpu_utilization\":{\"type\":\"number\"},\"pending_requests\":" INTEGER "}}}}"},
    {"Attestation", "{\"type\":\"object\",\"required\":[\"attestation_report\",\"tee_type\",\"timestamp\",\"verification_service\",\"verification_instructions\"],"
                    "\"properties\":{\"attestation_report\":" STRING ",\"tee_type\":" STRING ",\"timestamp\":" STRING ",\"verification_service\":" STRING
                    ",\"verification_instructions\":" STRING "}}"},
    {"Nonce", "{\"type\":\"object\",\"required\":[\"nonce\",\"expires\"],\"properties\":{\"nonce\":" STRING ",\"expires\":" STRING "}}"},
    {"VerifyRequest", "{\"type\":\"object\",\"required\":[\"type\",\"evidence\"],\"properties\":{\"type\":" STRING ",\"evidence\":{\"type\":[\"string\",\"object\"]},"
                      "\"collateral\":{\"type\":\"object\"},\"policy\":" STRING ",\"reference_values\":" STRING ",\"nonce\":" STRING
                      ",\"domain\":" STRING ",\"accept\":{\"enum\":[\"ear-jwt\",\"ear-cwt\",\"maa-jwt\"]}}}"},
    {"Verification", "{\"type\":\"object\",\"required\":[\"result\",\"token\",\"token_type\"],\"properties\":{\"result\":{\"type\":\"object\"},\"token\":{\"type\":"
                     "[\"string\",\"null\"]},\"token_type\":" STRING ",\"record\":" STRING "}}"},
    {"Jwks", "{\"type\":\"object\",\"required\":[\"keys\"],\"properties\":{\"keys\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}}"},
    {"HistoryEntry", "{\"type\":\"object\",\"required\":[\"time\",\"tee\",\"verdict\",\"reason\",\"detail\"],\"properties\":{\"time\":" STRING ",\"tee\":" STRING
                     ",\"verdict\":{\"enum\":[\"valid\",\"invalid\"]},\"reason\":" STRING ",\"detail\":" STRING ",\"valid_until\":" STRING "}}"},
    {"History", LIST("history", "HistoryEntry")},
    {"AttestObject", "{\"type\":\"object\",\"required\":[\"name\",\"version\",\"owner\",\"created\",\"log_index\"],\"properties\":{\"name\":" STRING
                     ",\"version\":" INTEGER ",\"owner\":" STRING ",\"created\":" STRING ",\"log_index\":" INTEGER "}}"},
    {"Policies", LIST("policies", "AttestObject")},
    {"ReferenceValues", LIST("reference_values", "AttestObject")},
    {"Collateral", "{\"type\":\"object\",\"required\":[\"version\",\"issued\",\"not_after\",\"items\"],\"properties\":{\"version\":" INTEGER ",\"issued\":" STRING
                   ",\"not_after\":" STRING ",\"items\":" INTEGER "}}"},
    {"Record", "{\"type\":\"object\",\"required\":[\"id\",\"time\",\"type\",\"verdict\"],\"properties\":{\"id\":" STRING ",\"time\":" STRING ",\"type\":" STRING
               ",\"verdict\":" STRING "}}"},
    {"Records", LIST("records", "Record")},
    {"Party", "{\"type\":\"object\",\"required\":[\"name\",\"kid\"],\"properties\":{\"name\":" STRING ",\"kid\":" STRING "}}"},
    {"Parties", LIST("parties", "Party")},
    {"Agreement", "{\"type\":\"object\",\"required\":[\"id\",\"title\",\"epoch\",\"state\",\"signed\",\"missing\"],\"properties\":{\"id\":" STRING ",\"title\":" STRING
                  ",\"epoch\":" INTEGER ",\"state\":{\"enum\":[\"proposed\",\"active\",\"suspended\",\"expired\",\"terminated\"]},\"signed\":{\"type\":\"array\",\"items\":" STRING
                  "},\"missing\":{\"type\":\"array\",\"items\":" STRING "},\"must_resume\":{\"type\":\"array\",\"items\":" STRING "},\"not_after\":" STRING ",\"lineage\":" STRING
                  ",\"log_index\":{\"type\":[\"integer\",\"null\"]}}}"},
    {"Agreements", LIST("agreements", "Agreement")},
    {"Dataset", "{\"type\":\"object\",\"required\":[\"id\",\"name\",\"owner\",\"version\",\"received\",\"size\",\"complete\"],\"properties\":{\"id\":" STRING ",\"name\":" STRING
                ",\"owner\":" STRING ",\"version\":" STRING ",\"received\":" INTEGER ",\"size\":" INTEGER ",\"complete\":" BOOLEAN ",\"row_count\":" INTEGER
                ",\"chunk_count\":" INTEGER ",\"created\":" STRING "}}"},
    {"Datasets", LIST("datasets", "Dataset")},
    {"Run", "{\"type\":\"object\",\"required\":[\"id\",\"agreement\",\"run\",\"starter\",\"state\"],\"properties\":{\"id\":" STRING ",\"agreement\":" STRING ",\"run\":" STRING
            ",\"starter\":" STRING ",\"state\":{\"enum\":[\"queued\",\"starting\",\"attesting\",\"releasing\",\"reading\",\"computing\",\"committing\",\"done\",\"failed\","
            "\"cancelled\"]},\"phase\":" STRING ",\"text\":" STRING ",\"done\":" INTEGER ",\"total\":" INTEGER ",\"created\":" STRING ",\"changed\":" STRING ",\"tee\":" STRING
            ",\"simulated\":" BOOLEAN ",\"released\":" BOOLEAN ",\"error\":" STRING ",\"denial\":{\"type\":[\"object\",\"null\"]},\"log_index\":{\"type\":[\"integer\",\"null\"]}}}"},
    {"Runs", "{\"type\":\"object\",\"properties\":{\"next\":{\"type\":[\"string\",\"null\"]}}}"},
    {"Reason", "{\"type\":\"object\",\"required\":[\"id\",\"what\",\"time\",\"code\",\"detail\"],\"properties\":{\"id\":" STRING ",\"what\":" STRING ",\"time\":" STRING
               ",\"code\":" STRING ",\"detail\":" STRING ",\"claim\":" STRING ",\"expected\":" STRING ",\"actual\":" STRING ",\"source\":" STRING ",\"remedy\":" STRING "}}"},
};
const size_t clo_service_schema_count = sizeof clo_service_schemas / sizeof clo_service_schemas[0];
