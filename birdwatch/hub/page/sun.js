// Sunrise and sunset, for the band of the day: the sunrise equation, right to a minute or two below 65 degrees.

const RAD = Math.PI / 180;

// UTC milliseconds [rise, set] on an ISO day, or null where the sun does not cross the horizon.
export function sun(isoDay, latitude, longitude) {
  const noon = Date.parse(isoDay + "T12:00:00Z");
  const n = noon / 86400e3 - 10957.5 - longitude / 360;
  const anomaly = (357.5291 + 0.98560028 * n) % 360;
  const centre = 1.9148 * Math.sin(anomaly * RAD) + 0.02 * Math.sin(2 * anomaly * RAD) + 0.0003 * Math.sin(3 * anomaly * RAD);
  const ecliptic = anomaly + centre + 180 + 102.9372;
  const transit = n + 0.0053 * Math.sin(anomaly * RAD) - 0.0069 * Math.sin(2 * ecliptic * RAD);
  const declination = Math.asin(Math.sin(ecliptic * RAD) * Math.sin(23.4397 * RAD));
  const cosine = (Math.sin(-0.833 * RAD) - Math.sin(latitude * RAD) * Math.sin(declination)) / (Math.cos(latitude * RAD) * Math.cos(declination));
  if (Math.abs(cosine) > 1) return null;
  const half = Math.acos(cosine) / RAD / 360;
  const moment = (days) => (days + 10957.5) * 86400e3;
  return [moment(transit - half), moment(transit + half)];
}
