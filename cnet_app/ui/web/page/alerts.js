/** What tells that a job ended: a tone, a notification; both only where the user switched them on. */

const STORED = "studio-alerts";
const TONE = { hertz: 660, seconds: 0.18, volume: 0.15 };

/** {sound, notification}, as chosen in this browser. */
export function alertsOn() {
  try {
    return { sound: false, notification: false, ...JSON.parse(localStorage.getItem(STORED) ?? "{}") };
  } catch {
    return { sound: false, notification: false };
  }
}

/** Switch an alert; returns whether it is on now. The browser asks before the first notification. */
export async function switchAlert(name, isOn) {
  const isAllowed = name !== "notification" || !isOn || (await isPermitted());
  const value = isOn && isAllowed;
  localStorage.setItem(STORED, JSON.stringify({ ...alertsOn(), [name]: value }));
  if (value && name === "sound") playTone();
  return value;
}

async function isPermitted() {
  return "Notification" in window && (await Notification.requestPermission()) === "granted";
}

/** Give the alerts of every job that ends. */
export function listenForEnds(app) {
  app.store.on(
    ({ ended }) => ended,
    (job) => {
      if (!job || job.status === "cancelled") return;
      const { sound, notification } = alertsOn();
      if (sound) playTone();
      if (notification && document.hidden) notify(job);
    },
  );
}

function notify({ status, prompt, num_images: count }) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const title = status === "done" ? (count > 1 ? `${count} pictures are finished` : "The picture is finished") : "The job failed";
  new Notification(title, { body: prompt, icon: "favicon.ico" });
}

/** A short tone that fades. */
function playTone() {
  const context = new AudioContext();
  const ends = context.currentTime + TONE.seconds;
  const volume = context.createGain();
  volume.gain.setValueAtTime(TONE.volume, context.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, ends);
  const tone = context.createOscillator();
  tone.frequency.value = TONE.hertz;
  tone.connect(volume).connect(context.destination);
  tone.onended = () => context.close();
  tone.start();
  tone.stop(ends);
}
