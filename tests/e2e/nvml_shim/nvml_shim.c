/* A stand-in for NVIDIA's libnvidia-ml.so.1: what it answers is read from the file that NVML_SHIM_FILE names.
 *
 * One setting a line, `#` starts a comment:
 *   driver VERSION            cuda NUMBER (13000)         init RETURN_CODE
 *   gpu NAME                  a new GPU; the lines below it are about it
 *   memory TOTAL_MIB FREE_MIB     capability MAJOR MINOR     mig 0|1|unsupported
 *   process PID MIB|unknown NAME  fabric STATE [STATUS]      persistence 0|1
 *   pci BUS_ID                numa NODE|unsupported      ecc COUNT|off|unsupported
 *   rows CORRECTABLE UNCORRECTABLE PENDING FAILED|unsupported                 throttle BITS
 *   power MILLIWATT LIMIT_MILLIWATT                          clocks SM_MHZ MEMORY_MHZ MAX_SM MAX_MEMORY
 *   use GPU_PERCENT           temperature CELSIUS
 *   ramp MILLIWATT SM_MHZ     power and SM clock change by so much each time they are read
 *   nvlink ACTIVE INACTIVE    peer OTHER_GPU STATUS (how reading from it is answered)
 *   count N                   the device count that is claimed, whatever GPUs follow
 *   fail FUNCTION RETURN_CODE a GPU's function (before any `gpu`: of every GPU, and of the system) returns that code
 *   hang SECONDS              nvmlInitWithFlags sleeps first
 * Signatures and structures are those that nvidia-ml-py declares.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };
enum { MAX_GPUS = 32, MAX_PROCESSES = 16, MAX_FAILS = 64, ALL_GPUS = -1, UNSUPPORTED = -1, OFF = -2 };

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } ProcessInfo;
typedef struct { unsigned version; uint8_t cluster[16]; int status; uint32_t clique; uint8_t state; uint32_t health; } Fabric;

typedef struct { unsigned pid; unsigned long long mib; char name[256]; } Process;
typedef struct {
    int index, major, minor, mig, persistence, fabric_state, fabric_status, processes;
    unsigned long long total_mib, free_mib;
    char name[256];
    Process process[MAX_PROCESSES];
    char pci[32];
    int numa, ecc, rows[4], throttle, links_active, links_inactive, peer[MAX_GPUS];
    unsigned power_mw, power_limit_mw, clocks[2], max_clocks[2], use, temperature;
    int ramp_mw, ramp_mhz;
} Gpu;
typedef struct {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} PciInfo;
typedef struct { int gpu, code; char function[128]; } Fail;

static Gpu gpus[MAX_GPUS];
static Fail fails[MAX_FAILS];
static int gpu_count, claimed_count, fail_count, cuda_version, init_code, started, hang_s;
static char driver_version[80];

static void read_line(char *line) {
    char word[128] = "", text[256] = "";
    Gpu *gpu = gpu_count ? &gpus[gpu_count - 1] : NULL;
    line[strcspn(line, "#\r\n")] = 0;
    if (sscanf(line, "%127s", word) != 1) return;
    if (!strcmp(word, "driver")) sscanf(line, "%*s %79s", driver_version);
    else if (!strcmp(word, "cuda")) sscanf(line, "%*s %d", &cuda_version);
    else if (!strcmp(word, "init")) sscanf(line, "%*s %d", &init_code);
    else if (!strcmp(word, "count")) sscanf(line, "%*s %d", &claimed_count);
    else if (!strcmp(word, "hang")) sscanf(line, "%*s %d", &hang_s);
    else if (!strcmp(word, "fail") && fail_count < MAX_FAILS) {
        Fail *fail = &fails[fail_count++];
        fail->gpu = gpu ? gpu->index : ALL_GPUS;
        sscanf(line, "%*s %127s %d", fail->function, &fail->code);
    } else if (!strcmp(word, "gpu") && gpu_count < MAX_GPUS) {
        gpu = &gpus[gpu_count];
        memset(gpu, 0, sizeof *gpu);
        gpu->index = gpu_count++;
        gpu->persistence = 1;
        gpu->fabric_state = 3;
        gpu->numa = gpu->index / 4;
        gpu->links_active = 18;
        gpu->power_mw = 140500;
        gpu->power_limit_mw = 1000000;
        gpu->clocks[0] = 120, gpu->clocks[1] = gpu->max_clocks[1] = 3996, gpu->max_clocks[0] = 1965;
        gpu->temperature = 31;
        snprintf(gpu->pci, sizeof gpu->pci, "00000000:%02X:00.0", 0x1b + 0x10 * (gpu->index % 14));
        sscanf(line, "%*s %255[^\n]", gpu->name);
    } else if (gpu == NULL) fprintf(stderr, "nvml_shim: '%s' stands before any gpu\n", word), abort();
    else if (!strcmp(word, "memory")) sscanf(line, "%*s %llu %llu", &gpu->total_mib, &gpu->free_mib);
    else if (!strcmp(word, "capability")) sscanf(line, "%*s %d %d", &gpu->major, &gpu->minor);
    else if (!strcmp(word, "mig")) gpu->mig = strstr(line, "unsupported") ? -1 : atoi(strstr(line, "mig") + 3);
    else if (!strcmp(word, "persistence")) sscanf(line, "%*s %d", &gpu->persistence);
    else if (!strcmp(word, "fabric")) sscanf(line, "%*s %d %d", &gpu->fabric_state, &gpu->fabric_status);
    else if (!strcmp(word, "pci")) sscanf(line, "%*s %31s", gpu->pci);
    else if (!strcmp(word, "numa")) gpu->numa = strstr(line, "unsupported") ? UNSUPPORTED : atoi(strstr(line, "numa") + 4);
    else if (!strcmp(word, "ecc"))
        gpu->ecc = strstr(line, "unsupported") ? UNSUPPORTED : strstr(line, "off") ? OFF : atoi(strstr(line, "ecc") + 3);
    else if (!strcmp(word, "rows")) {
        if (strstr(line, "unsupported")) gpu->rows[0] = UNSUPPORTED;
        else sscanf(line, "%*s %d %d %d %d", &gpu->rows[0], &gpu->rows[1], &gpu->rows[2], &gpu->rows[3]);
    } else if (!strcmp(word, "throttle")) sscanf(line, "%*s %i", &gpu->throttle);
    else if (!strcmp(word, "nvlink")) sscanf(line, "%*s %d %d", &gpu->links_active, &gpu->links_inactive);
    else if (!strcmp(word, "power")) sscanf(line, "%*s %u %u", &gpu->power_mw, &gpu->power_limit_mw);
    else if (!strcmp(word, "clocks"))
        sscanf(line, "%*s %u %u %u %u", &gpu->clocks[0], &gpu->clocks[1], &gpu->max_clocks[0], &gpu->max_clocks[1]);
    else if (!strcmp(word, "use")) sscanf(line, "%*s %u", &gpu->use);
    else if (!strcmp(word, "temperature")) sscanf(line, "%*s %u", &gpu->temperature);
    else if (!strcmp(word, "ramp")) sscanf(line, "%*s %d %d", &gpu->ramp_mw, &gpu->ramp_mhz);
    else if (!strcmp(word, "peer")) {
        int other = 0, status = 0;
        if (sscanf(line, "%*s %d %d", &other, &status) == 2 && other >= 0 && other < MAX_GPUS) gpu->peer[other] = status;
    } else if (!strcmp(word, "process") && gpu->processes < MAX_PROCESSES) {
        Process *process = &gpu->process[gpu->processes++];
        sscanf(line, "%*s %u %255s %255[^\n]", &process->pid, text, process->name);
        process->mib = strcmp(text, "unknown") ? strtoull(text, NULL, 10) : ~0ULL;
    } else fprintf(stderr, "nvml_shim: unknown setting '%s'\n", word), abort();
}

static int failure(const char *function, int gpu) {
    if (!started) return UNINITIALIZED;
    for (int i = 0; i < fail_count; i++)
        if ((fails[i].gpu == gpu || fails[i].gpu == ALL_GPUS) && !strcmp(fails[i].function, function)) return fails[i].code;
    return OK;
}

static int put(char *to, unsigned size, const char *text) {
    if (strlen(text) + 1 > size) return TOO_SMALL;
    strcpy(to, text);
    return OK;
}

#define ASK(gpu) do { int code = failure(__func__, gpu); if (code != OK) return code; } while (0)

int nvmlInitWithFlags(unsigned flags) {
    char line[512];
    const char *path = getenv("NVML_SHIM_FILE");
    FILE *file = path ? fopen(path, "r") : NULL;
    (void)flags;
    if (file == NULL) fprintf(stderr, "nvml_shim: NVML_SHIM_FILE names no readable file\n"), abort();
    gpu_count = fail_count = init_code = hang_s = 0;
    claimed_count = -1;
    while (fgets(line, sizeof line, file)) read_line(line);
    fclose(file);
    if (hang_s) sleep(hang_s);
    started = init_code == OK;
    return init_code;
}

int nvmlShutdown(void) { started = 0; return OK; }

const char *nvmlErrorString(int code) {
    switch (code) {
    case OK: return "Success";
    case NOT_SUPPORTED: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *to, unsigned size) { ASK(ALL_GPUS); return put(to, size, driver_version); }
int nvmlSystemGetCudaDriverVersion_v2(int *to) { ASK(ALL_GPUS); *to = cuda_version; return OK; }
int nvmlSystemGetCudaDriverVersion(int *to) { ASK(ALL_GPUS); *to = cuda_version; return OK; }

int nvmlSystemGetProcessName(unsigned pid, char *to, unsigned size) {
    ASK(ALL_GPUS);
    for (int g = 0; g < gpu_count; g++)
        for (int p = 0; p < gpus[g].processes; p++)
            if (gpus[g].process[p].pid == pid && gpus[g].process[p].name[0]) return put(to, size, gpus[g].process[p].name);
    return NOT_FOUND;
}

int nvmlDeviceGetCount_v2(unsigned *to) {
    ASK(ALL_GPUS);
    *to = claimed_count < 0 ? (unsigned)gpu_count : (unsigned)claimed_count;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu **to) {
    ASK((int)index);
    if (index >= (unsigned)gpu_count) return INVALID_ARGUMENT;
    *to = &gpus[index];
    return OK;
}

int nvmlDeviceGetName(Gpu *gpu, char *to, unsigned size) { ASK(gpu->index); return put(to, size, gpu->name); }

int nvmlDeviceGetUUID(Gpu *gpu, char *to, unsigned size) {
    char uuid[64];
    ASK(gpu->index);
    snprintf(uuid, sizeof uuid, "GPU-00000000-0000-4000-8000-%012d", gpu->index);
    return put(to, size, uuid);
}

int nvmlDeviceGetMemoryInfo(Gpu *gpu, Memory *to) {
    ASK(gpu->index);
    to->total = gpu->total_mib << 20;
    to->free = gpu->free_mib << 20;
    to->used = to->total - to->free;
    return OK;
}

int nvmlDeviceGetCudaComputeCapability(Gpu *gpu, int *major, int *minor) {
    ASK(gpu->index);
    *major = gpu->major;
    *minor = gpu->minor;
    return OK;
}

int nvmlDeviceGetMigMode(Gpu *gpu, unsigned *current, unsigned *pending) {
    ASK(gpu->index);
    if (gpu->mig < 0) return NOT_SUPPORTED;
    *current = *pending = (unsigned)gpu->mig;
    return OK;
}

int nvmlDeviceGetPowerUsage(Gpu *gpu, unsigned *to) {
    ASK(gpu->index);
    *to = gpu->power_mw;
    gpu->power_mw += (unsigned)gpu->ramp_mw;
    return OK;
}

int nvmlDeviceGetPowerManagementLimit(Gpu *gpu, unsigned *to) { ASK(gpu->index); *to = gpu->power_limit_mw; return OK; }

/* A clock's kind as NVML numbers it: the SM clock is 1, that of memory 2. */
static int clock_of(const unsigned *clocks, unsigned kind, unsigned *to) {
    if (kind != 1 && kind != 2) return NOT_SUPPORTED;
    *to = clocks[kind - 1];
    return OK;
}

int nvmlDeviceGetClockInfo(Gpu *gpu, unsigned kind, unsigned *to) {
    ASK(gpu->index);
    int code = clock_of(gpu->clocks, kind, to);
    if (kind == 1) gpu->clocks[0] += (unsigned)gpu->ramp_mhz;
    return code;
}

int nvmlDeviceGetMaxClockInfo(Gpu *gpu, unsigned kind, unsigned *to) {
    ASK(gpu->index);
    return clock_of(gpu->max_clocks, kind, to);
}

int nvmlDeviceGetTemperature(Gpu *gpu, unsigned sensor, unsigned *to) {
    ASK(gpu->index);
    if (sensor != 0) return NOT_SUPPORTED;
    *to = gpu->temperature;
    return OK;
}

int nvmlDeviceGetUtilizationRates(Gpu *gpu, unsigned to[2]) {
    ASK(gpu->index);
    to[0] = gpu->use, to[1] = gpu->use / 2;
    return OK;
}

int nvmlDeviceGetEnforcedPowerLimit(Gpu *gpu, unsigned *to) { ASK(gpu->index); *to = gpu->power_limit_mw; return OK; }

int nvmlDeviceGetPersistenceMode(Gpu *gpu, int *to) { ASK(gpu->index); *to = gpu->persistence; return OK; }

int nvmlDeviceGetComputeRunningProcesses_v3(Gpu *gpu, unsigned *count, ProcessInfo *to) {
    unsigned room = *count;
    ASK(gpu->index);
    *count = (unsigned)gpu->processes;
    if (gpu->processes == 0) return OK;
    if (to == NULL || room < *count) return TOO_SMALL;
    for (int i = 0; i < gpu->processes; i++) {
        memset(&to[i], 0xff, sizeof to[i]);
        to[i].pid = gpu->process[i].pid;
        to[i].used = gpu->process[i].mib == ~0ULL ? ~0ULL : gpu->process[i].mib << 20;
    }
    return OK;
}

int nvmlDeviceGetGpuFabricInfoV(Gpu *gpu, Fabric *to) {
    ASK(gpu->index);
    if (gpu->fabric_state < 0) return NOT_SUPPORTED;
    to->state = (uint8_t)gpu->fabric_state;
    to->status = gpu->fabric_status;
    return OK;
}

int nvmlDeviceGetPciInfo_v3(Gpu *gpu, PciInfo *to) {
    ASK(gpu->index);
    memset(to, 0, sizeof *to);
    return put(to->bus_id, sizeof to->bus_id, gpu->pci);
}

int nvmlDeviceGetMemoryAffinity(Gpu *gpu, unsigned size, unsigned long *to, unsigned scope) {
    ASK(gpu->index);
    (void)scope;
    if (gpu->numa == UNSUPPORTED) return NOT_SUPPORTED;
    memset(to, 0, size * sizeof *to);
    if ((unsigned)gpu->numa / 64 < size) to[gpu->numa / 64] = 1UL << (gpu->numa % 64);
    return OK;
}

int nvmlDeviceGetEccMode(Gpu *gpu, unsigned *current, unsigned *pending) {
    ASK(gpu->index);
    if (gpu->ecc == UNSUPPORTED) return NOT_SUPPORTED;
    *current = *pending = gpu->ecc != OFF;
    return OK;
}

int nvmlDeviceGetTotalEccErrors(Gpu *gpu, int type, int counter, unsigned long long *to) {
    ASK(gpu->index);
    if (gpu->ecc < 0) return NOT_SUPPORTED;
    *to = type == 1 && counter == 0 ? (unsigned long long)gpu->ecc : 0;
    return OK;
}

int nvmlDeviceGetRemappedRows(Gpu *gpu, unsigned *correctable, unsigned *uncorrectable, unsigned *pending, unsigned *failed) {
    ASK(gpu->index);
    if (gpu->rows[0] == UNSUPPORTED) return NOT_SUPPORTED;
    *correctable = (unsigned)gpu->rows[0];
    *uncorrectable = (unsigned)gpu->rows[1];
    *pending = (unsigned)gpu->rows[2];
    *failed = (unsigned)gpu->rows[3];
    return OK;
}

int nvmlDeviceGetCurrentClocksEventReasons(Gpu *gpu, unsigned long long *to) {
    ASK(gpu->index);
    *to = (unsigned long long)gpu->throttle;
    return OK;
}

int nvmlDeviceGetNvLinkState(Gpu *gpu, unsigned link, unsigned *active) {
    ASK(gpu->index);
    if (link >= (unsigned)(gpu->links_active + gpu->links_inactive)) return link ? INVALID_ARGUMENT : NOT_SUPPORTED;
    *active = link < (unsigned)gpu->links_active;
    return OK;
}

int nvmlDeviceGetP2PStatus(Gpu *gpu, Gpu *other, unsigned capability, int *to) {
    enum { READ = 0, NVLINK = 2, NO_LINK = 5 };
    ASK(gpu->index);
    *to = gpu->peer[other->index];
    if (capability == NVLINK && !(gpu->links_active && other->links_active)) *to = NO_LINK;
    return capability == READ || capability == NVLINK ? OK : NOT_SUPPORTED;
}
