// What the page says, in every language that it speaks.

const ENGLISH = {
  'title': 'Music separation', 'language': 'Language',
  'new': 'New songs', 'drop': 'Drop songs here', 'choose': 'Choose songs',
  'kinds': 'MP3, WAV, FLAC, Ogg Vorbis, AAC and AIFF, up to {size}',
  'link': 'Or the link to a file', 'link.take': 'Fetch it',
  'songs': 'Your songs', 'none': 'Nothing yet. This browser remembers the songs that you send.',
  'docs': 'For programs: the interface', 'unnamed': 'A song without a name',

  'key.title': 'This server asks for a key', 'key.wrong': 'That key is not known here.', 'key.label': 'Key',
  'key.kept': 'It is kept in this browser.', 'key.use': 'Use it', 'key.cancel': 'Not now',

  'what': 'What you get', 'what.all': 'All stems', 'what.karaoke': 'Vocals and instrumental (karaoke)',
  'what.two': '{stem} and the rest', 'what.some': 'Only some stems', 'which': 'Which stems',
  'model': 'Model', 'model.htdemucs': 'Four stems', 'model.htdemucs_ft': 'Four stems, finer, four times as slow',
  'model.htdemucs_6s': 'Six stems: guitar and piano too', 'model.other': '{name}',
  'format': 'File format', 'format.mp3': 'MP3, small', 'format.flac16': 'FLAC, 16 bits', 'format.flac24': 'FLAC, 24 bits',
  'format.wav16': 'WAV, 16 bits', 'format.wav24': 'WAV, 24 bits', 'format.wav32': 'WAV, 32-bit float',
  'more': 'More options', 'shifts': 'Shifted passes (each as slow as the first; a little better)',
  'overlap': 'Overlap of segments', 'clip': 'Above full scale',
  'clip.common': 'turn all stems down together', 'clip.rescale': 'turn down each stem by itself',
  'clip.clamp': 'cut', 'clip.none': 'leave it (32-bit float only)',

  'stem.drums': 'Drums', 'stem.bass': 'Bass', 'stem.other': 'Other', 'stem.vocals': 'Vocals',
  'stem.guitar': 'Guitar', 'stem.piano': 'Piano', 'stem.without': 'Without {stem}', 'stem.of': '{stem}',

  'state.waiting': 'Waits to be sent', 'state.sending': 'Sending: {percent} %', 'state.checking': 'Looking it up',
  'state.fetching': 'The server fetches it',
  'state.queued': 'In the queue', 'state.next': 'In the queue: it is the next one',
  'state.position': 'In the queue: {count} before it', 'state.running': 'Separating: {percent} %',
  'state.succeeded': 'Done', 'state.failed': 'It failed', 'state.canceled': 'Canceled',
  'progress': 'Progress of {song}', 'segments': '{done} of {total} segments', 'speed': '{speed}× real time',
  'left': 'about {time} left', 'offline': 'No connection to the server. Trying again.',
  'kept': 'On the server until {date}', 'download': 'Download {stem}', 'said.stem': '{song}: {stem} is ready',

  'open': 'Mixer', 'close': 'Close the mixer', 'cancel': 'Cancel', 'delete': 'Delete', 'retry': 'Try again',
  'zip': 'Everything as ZIP', 'of': '{what}: {song}', 'sure': 'Delete {song} and its stems from the server?',

  'mixer': 'Mixer of {song}', 'play': 'Play', 'pause': 'Pause', 'position': 'Position', 'at': '{at} of {end}',
  'loading': 'Loading the stems', 'solo': 'Solo {stem}', 'mute': 'Mute {stem}', 'gain': 'Volume of {stem}', 'pan': 'Pan of {stem}',
  'volume.is': 'Volume {percent} %', 'pan.is': 'Pan: {where}', 'middle': 'middle', 'left.of': '{percent} % left', 'right.of': '{percent} % right', 'percent': '{percent} %',
  'listening': 'Listening volume', 'loop.from': 'Loop from here', 'loop.to': 'Loop to here', 'loop.off': 'No loop',
  'loop.is': 'Loop: {from} to {to}', 'reset': 'All faders back',
  'mix': 'Download this mix', 'mix.as': 'as', 'mix.same': 'the same format', 'mix.making': 'The server mixes …',
  'mix.ready': 'The mix is ready.', 'mix.silent': 'Nothing would be heard in this mix.',
  'mix.note': 'The download has what you hear: volume, mute and solo of each stem. Pan, loop and listening volume are for listening only. A mix above full scale is turned down as a whole.',
  'streamed': 'This song is too long for the memory of this device: its stems are streamed and may be a few hundredths of a second apart while you listen. Downloads are exact.',
  'keys': 'Keys', 'keys.list': 'In the mixer: space plays and pauses; ← and → go 5 seconds, with Shift 1; Home goes to the start; 1 to 9 mute a stem, with Shift solo; [ and ] loop from and to here; \\ ends the loop.',

  'ops.title': 'For operators', 'ops.link': 'For operators', 'ops.songs': 'The page for musicians', 'ops.now': 'Now',
  'ops.jobs': 'Jobs that have not ended', 'ops.ready': 'Tasks that wait', 'ops.active': 'Tasks in work',
  'ops.delayed': 'Tasks that wait for another try', 'ops.cost': 'Audio of these jobs (minutes)', 'ops.dead': 'Given up',
  'ops.workers': 'Workers', 'ops.workers.none': 'No worker was heard of lately.', 'ops.idle': 'Waits for work',
  'ops.task.plan': 'Looks at {song}', 'ops.task.span': 'Separates a part of {song}', 'ops.task.merge': 'Joins the parts of {song}',
  'ops.task.derive': 'Makes another mix or format of {song}', 'ops.has': 'for {time}', 'ops.attempt': 'attempt {count}',
  'ops.heard': 'heard of {time} ago', 'ops.before': 'before it: {worker}',
  'ops.silent': 'Silent for {time}. Its task goes to another worker in {left}.',
  'ops.list': 'Jobs', 'ops.list.note': 'Of the tenant whose key this is: what runs, what waits, then the latest that have ended.',
  'ops.list.none': 'No jobs.', 'ops.dead.none': 'Nothing was given up.', 'ops.waits': 'waits for {time}',
  'ops.runs': 'runs for {time}', 'ops.took': 'took {time}', 'ops.at': 'Given up: {time}', 'ops.redrive': 'Do it again',
  'ops.bury': 'Take off the list', 'ops.redriven': 'Done again as a new job: {song}', 'ops.buried': 'Off the list: {song}',
  'ops.canceled': 'Canceled: {song}', 'ops.deleted': 'Deleted: {song}',
  'ops.reset': 'Reset', 'ops.reset.note': 'All jobs stop, and all songs and results of all tenants are removed. It cannot be undone.',
  'ops.reset.open': 'Reset the service', 'ops.reset.type': 'Type the word “reset”', 'ops.reset.do': 'Remove everything',
  'ops.reset.done': 'The service was reset.', 'ops.forbidden': 'This key has no right to operate the service.',
  'ops.other': 'Use another key',

  'error.offline': 'The server cannot be reached. Check your connection and try again.',
  'error.not_audio': 'This is no audio file that can be used. MP3, WAV, FLAC, Ogg Vorbis, AAC and AIFF are taken.',
  'error.empty': 'The file is empty.', 'error.too_large': 'The file is too large: {size} at most.',
  'error.unsupported_media_type': 'This kind of file is not taken.',
  'error.unauthorized': 'This server asks for a key.', 'error.forbidden': 'Your key does not allow this.',
  'error.not_found': 'The server does not know this song any more. Send it again.',
  'error.gone': 'The time of these results is over. Send the song again.',
  'error.not_finished': 'The server could not make this: {detail}',
  'error.rate_limited': 'Too many requests at once. Try again in a moment.',
  'error.tenant_full': 'You have too many songs in the queue. Wait until some are done.',
  'error.full': 'The service has too much to do now. Try again later.',
  'error.unavailable': 'The service is not available now. Try again in a moment.',
  'error.internal': 'Something is wrong at the server. If it stays so, tell its operator: {request}',
  'error.timeout': 'Sending took too long. Try again.',
  'error.unknown_model': 'The server does not have this model.', 'error.invalid_option': 'The options do not fit: {detail}',
  'error.separation_failed': 'It could not be separated: {detail}',
  'error.links_off': 'This server takes no links.', 'error.invalid_link': 'This link cannot be used. It has to lead to a file on the public internet.',
  'error.link_failed': 'The file behind the link cannot be fetched: {detail}',
  'error.link_slow': 'The file behind the link comes too slowly. Try again later.',
  'error.unplayable': 'This browser cannot play {stem}. It can be downloaded.',
  'error.other': '{detail}',
};

const PORTUGUESE = {
  'title': 'Separação de música', 'language': 'Idioma',
  'new': 'Novas músicas', 'drop': 'Solte músicas aqui', 'choose': 'Escolher músicas',
  'kinds': 'MP3, WAV, FLAC, Ogg Vorbis, AAC e AIFF, até {size}',
  'link': 'Ou o link de um arquivo', 'link.take': 'Buscar',
  'songs': 'Suas músicas', 'none': 'Nada ainda. Este navegador lembra as músicas que você envia.',
  'docs': 'Para programas: a interface', 'unnamed': 'Uma música sem nome',

  'key.title': 'Este servidor pede uma chave', 'key.wrong': 'Essa chave não é conhecida aqui.', 'key.label': 'Chave',
  'key.kept': 'Ela fica guardada neste navegador.', 'key.use': 'Usar', 'key.cancel': 'Agora não',

  'what': 'O que você recebe', 'what.all': 'Todas as faixas', 'what.karaoke': 'Voz e instrumental (karaokê)',
  'what.two': '{stem} e o resto', 'what.some': 'Só algumas faixas', 'which': 'Quais faixas',
  'model': 'Modelo', 'model.htdemucs': 'Quatro faixas', 'model.htdemucs_ft': 'Quatro faixas, mais fino, quatro vezes mais lento',
  'model.htdemucs_6s': 'Seis faixas: também guitarra e piano', 'model.other': '{name}',
  'format': 'Formato', 'format.mp3': 'MP3, pequeno', 'format.flac16': 'FLAC, 16 bits', 'format.flac24': 'FLAC, 24 bits',
  'format.wav16': 'WAV, 16 bits', 'format.wav24': 'WAV, 24 bits', 'format.wav32': 'WAV, ponto flutuante de 32 bits',
  'more': 'Mais opções', 'shifts': 'Passagens deslocadas (cada uma demora como a primeira; um pouco melhor)',
  'overlap': 'Sobreposição dos segmentos', 'clip': 'Acima do máximo',
  'clip.common': 'baixar todas as faixas juntas', 'clip.rescale': 'baixar cada faixa por si',
  'clip.clamp': 'cortar', 'clip.none': 'deixar (só em 32 bits flutuantes)',

  'stem.drums': 'Bateria', 'stem.bass': 'Baixo', 'stem.other': 'Outros', 'stem.vocals': 'Voz',
  'stem.guitar': 'Guitarra', 'stem.piano': 'Piano', 'stem.without': 'Sem {stem}', 'stem.of': '{stem}',

  'state.waiting': 'Espera para ser enviada', 'state.sending': 'Enviando: {percent} %', 'state.checking': 'Procurando',
  'state.fetching': 'O servidor está buscando',
  'state.queued': 'Na fila', 'state.next': 'Na fila: é a próxima',
  'state.position': 'Na fila: {count} antes dela', 'state.running': 'Separando: {percent} %',
  'state.succeeded': 'Pronta', 'state.failed': 'Falhou', 'state.canceled': 'Cancelada',
  'progress': 'Progresso de {song}', 'segments': '{done} de {total} segmentos', 'speed': '{speed}× o tempo real',
  'left': 'faltam cerca de {time}', 'offline': 'Sem conexão com o servidor. Tentando de novo.',
  'kept': 'No servidor até {date}', 'download': 'Baixar {stem}', 'said.stem': '{song}: {stem}, pronta',

  'open': 'Mesa de som', 'close': 'Fechar a mesa', 'cancel': 'Cancelar', 'delete': 'Apagar', 'retry': 'Tentar de novo',
  'zip': 'Tudo em ZIP', 'of': '{what}: {song}', 'sure': 'Apagar {song} e suas faixas do servidor?',

  'mixer': 'Mesa de som de {song}', 'play': 'Tocar', 'pause': 'Pausar', 'position': 'Posição', 'at': '{at} de {end}',
  'loading': 'Carregando as faixas', 'solo': 'Solo: {stem}', 'mute': 'Silenciar: {stem}', 'gain': 'Volume: {stem}', 'pan': 'Panorama: {stem}',
  'volume.is': 'Volume {percent} %', 'pan.is': 'Pan.: {where}', 'middle': 'centro', 'left.of': '{percent} % à esquerda', 'right.of': '{percent} % à direita', 'percent': '{percent} %',
  'listening': 'Volume de escuta', 'loop.from': 'Repetir daqui', 'loop.to': 'Repetir até aqui', 'loop.off': 'Não repetir',
  'loop.is': 'Repete: {from} a {to}', 'reset': 'Controles ao início',
  'mix': 'Baixar esta mixagem', 'mix.as': 'como', 'mix.same': 'o mesmo formato', 'mix.making': 'O servidor está mixando …',
  'mix.ready': 'A mixagem está pronta.', 'mix.silent': 'Nada se ouviria nesta mixagem.',
  'mix.note': 'O arquivo tem o que você ouve: volume, silêncio e solo de cada faixa. Panorama, repetição e volume de escuta são só para ouvir. Uma mixagem acima do máximo é baixada por inteiro.',
  'streamed': 'Esta música é longa demais para a memória deste aparelho: as faixas vêm aos poucos e podem ficar alguns centésimos de segundo separadas enquanto você ouve. Os arquivos são exatos.',
  'keys': 'Teclas', 'keys.list': 'Na mesa: espaço toca e pausa; ← e → andam 5 segundos, com Shift 1; Home vai ao início; 1 a 9 silenciam uma faixa, com Shift solo; [ e ] repetem daqui e até aqui; \\ termina a repetição.',

  'ops.title': 'Para operadores', 'ops.link': 'Para operadores', 'ops.songs': 'A página para músicos', 'ops.now': 'Agora',
  'ops.jobs': 'Trabalhos não terminados', 'ops.ready': 'Tarefas que esperam', 'ops.active': 'Tarefas em andamento',
  'ops.delayed': 'Tarefas que esperam outra tentativa', 'ops.cost': 'Áudio desses trabalhos (minutos)', 'ops.dead': 'Desistências',
  'ops.workers': 'Trabalhadores', 'ops.workers.none': 'Nenhum deu sinal há pouco.', 'ops.idle': 'Espera trabalho',
  'ops.task.plan': 'Examina {song}', 'ops.task.span': 'Separa uma parte de {song}', 'ops.task.merge': 'Junta as partes de {song}',
  'ops.task.derive': 'Faz outra mixagem ou formato de {song}', 'ops.has': 'há {time}', 'ops.attempt': 'tentativa {count}',
  'ops.heard': 'último sinal há {time}', 'ops.before': 'antes dele: {worker}',
  'ops.silent': 'Sem sinal há {time}. A tarefa vai para outro em {left}.',
  'ops.list': 'Trabalhos', 'ops.list.note': 'Do inquilino a quem pertence a chave: o que anda, o que espera e os últimos que terminaram.',
  'ops.list.none': 'Nenhum trabalho.', 'ops.dead.none': 'Não se desistiu de nada.', 'ops.waits': 'espera há {time}',
  'ops.runs': 'anda há {time}', 'ops.took': 'levou {time}', 'ops.at': 'Desistência: {time}', 'ops.redrive': 'Fazer de novo',
  'ops.bury': 'Tirar da lista', 'ops.redriven': 'Feito de novo como outro trabalho: {song}', 'ops.buried': 'Fora da lista: {song}',
  'ops.canceled': 'Cancelado: {song}', 'ops.deleted': 'Apagado: {song}',
  'ops.reset': 'Recomeço', 'ops.reset.note': 'Todos os trabalhos param, e todas as músicas e resultados de todos os inquilinos são apagados. Não há volta.',
  'ops.reset.open': 'Recomeçar o serviço', 'ops.reset.type': 'Escreva a palavra “reset”', 'ops.reset.do': 'Apagar tudo',
  'ops.reset.done': 'O serviço recomeçou.', 'ops.forbidden': 'Esta chave não tem direito de operar o serviço.',
  'ops.other': 'Usar outra chave',

  'error.offline': 'O servidor não responde. Verifique a conexão e tente de novo.',
  'error.not_audio': 'Este não é um arquivo de áudio que possa ser usado. Aceitam-se MP3, WAV, FLAC, Ogg Vorbis, AAC e AIFF.',
  'error.empty': 'O arquivo está vazio.', 'error.too_large': 'O arquivo é grande demais: no máximo {size}.',
  'error.unsupported_media_type': 'Este tipo de arquivo não é aceito.',
  'error.unauthorized': 'Este servidor pede uma chave.', 'error.forbidden': 'Sua chave não permite isto.',
  'error.not_found': 'O servidor não conhece mais esta música. Envie-a de novo.',
  'error.gone': 'O prazo destes resultados acabou. Envie a música de novo.',
  'error.not_finished': 'O servidor não conseguiu fazer isto: {detail}',
  'error.rate_limited': 'Pedidos demais de uma vez. Tente de novo daqui a pouco.',
  'error.tenant_full': 'Você tem músicas demais na fila. Espere que algumas terminem.',
  'error.full': 'O serviço tem trabalho demais agora. Tente mais tarde.',
  'error.unavailable': 'O serviço não está disponível agora. Tente de novo daqui a pouco.',
  'error.internal': 'Algo está errado no servidor. Se continuar assim, avise o operador: {request}',
  'error.timeout': 'O envio demorou demais. Tente de novo.',
  'error.unknown_model': 'O servidor não tem este modelo.', 'error.invalid_option': 'As opções não combinam: {detail}',
  'error.separation_failed': 'Não foi possível separá-la: {detail}',
  'error.links_off': 'Este servidor não aceita links.', 'error.invalid_link': 'Este link não pode ser usado. Ele tem que levar a um arquivo na internet pública.',
  'error.link_failed': 'Não foi possível buscar o arquivo do link: {detail}',
  'error.link_slow': 'O arquivo do link vem devagar demais. Tente mais tarde.',
  'error.unplayable': 'Este navegador não consegue tocar {stem}. O arquivo pode ser baixado.',
  'error.other': '{detail}',
};

export const LANGUAGES = { en: ENGLISH, pt: PORTUGUESE };

const KEPT = 'msaas.language';
let language = [localStorage.getItem(KEPT), ...navigator.languages.map((name) => name.slice(0, 2))]
  .find((name) => name in LANGUAGES) ?? 'en';

export const current = () => language;

export function choose(name) {
  language = name;
  localStorage.setItem(KEPT, name);
}

/** A sentence, with its values in place. */
export function t(key, values = {}) {
  const text = LANGUAGES[language][key] ?? LANGUAGES.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

export const known = (key) => key in ENGLISH;

export function number(value, digits = 0) {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export const megabytes = (bytes) => `${number(bytes / 2 ** 20)} MiB`;

export const day = (date) => date.toLocaleDateString(language, { dateStyle: 'long' });

export const moment = (date) => date.toLocaleString(language, { dateStyle: 'medium', timeStyle: 'medium' });

/** Minutes and seconds. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** A result as a musician calls it. */
export function stem(name) {
  if (name.startsWith('no_')) return t('stem.without', { stem: stem(name.slice(3)).toLowerCase() });
  return known(`stem.${name}`) ? t(`stem.${name}`) : name;
}

/** How far a job is, and how fast. */
export function pace({ segments_done: done, segments_total: total, speed, eta_s: left }) {
  const words = [];
  if (total > 0) words.push(t('segments', { done: number(done), total: number(total) }));
  if (speed !== null) words.push(t('speed', { speed: number(speed, 1) }));
  if (left !== null) words.push(t('left', { time: clock(Math.ceil(left)) }));
  return words.join(' · ');
}
