// What the server counts, as Prometheus reads it. The registry belongs to one server.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export interface MetricSources {
  /** Requests that wait for the device. */
  waiting(): number;
  /** Requests to answer a scan that have been let in and not been answered. */
  admitted(): number;
  /** Bytes of uploads on disk. */
  diskBytes(): number;
  isReady(): boolean;
}

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  answered(request: { route: string; status: number; seconds: number }): void;
  /** Seconds that a scan took on the device, preparation included. */
  predicted(seconds: number): void;
}

const PREFIX = 'ct_ensemble_';

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  const requests = new Counter({
    name: `${PREFIX}requests_total`,
    help: 'Requests that were answered or whose connection ended (status 499), by route and status.',
    labelNames: ['route', 'status'],
    registers,
  });
  const buckets = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
  const durations = new Histogram({
    name: `${PREFIX}request_duration_seconds`,
    help: 'Time from the headers of a request to the end of its answer.',
    labelNames: ['route'],
    buckets,
    registers,
  });
  const predictions = new Histogram({
    name: `${PREFIX}prediction_duration_seconds`,
    help: 'Time for the preparation of a scan and its members, without upload and queue.',
    buckets,
    registers,
  });
  gauge(`${PREFIX}queue_length`, 'Scans that wait for the device.', sources.waiting);
  gauge(`${PREFIX}scans_in_progress`, 'Scans that are uploaded, wait or are computed.', sources.admitted);
  gauge(`${PREFIX}upload_bytes_on_disk`, 'Bytes of uploads in the temporary folder.', sources.diskBytes);
  gauge(`${PREFIX}ready`, '1 if scans are answered, 0 if not.', () => Number(sources.isReady()));
  gauge('process_resident_memory_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
  gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use.', () => process.memoryUsage().heapUsed);
  const started = Date.now() / 1000 - process.uptime();
  gauge('process_start_time_seconds', 'Start of the process, seconds since 1970.', () => started);
  gauge('process_cpu_seconds_total', 'CPU time of the process.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    answered({ route, status, seconds }) {
      requests.inc({ route, status });
      durations.observe({ route }, seconds);
    },
    predicted: (seconds) => predictions.observe(seconds),
  };
}
